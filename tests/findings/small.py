"""Findings in reduced sizes: settings, and the claims that need more than these."""

SETTINGS = {
    "blindness": {},
    "control": {"steps": 800, "seeds": 1, "sigmas": (3e-3, 0.03, 0.1)},
    "discrete": {},
    "dynamics": {"chains": 20_000, "tempered": 1000, "sweeps": 600},
    "empty": {"seeds": 2},
    "equivalence": {
        "sigmas": (0.01, 0.1, 0.5), "steps": 150, "seeds": 2, "width": 32, "exact_steps": 40,
        "radii": (0.001, 0.01, 0.03, 0.1),
    },
    "flow": {"points": 200, "deltas": (0.1,)},
    "illposed": {"steps": 2000, "seeds": 2, "width": 64},
    "kernels": {"sizes": (100, 600), "steps": 100},
    # Standard errors of the variance ratios: √(2/(2 · 3000)) ≈ 0.02; the limits end at εT = 60,
    # by which the weights of the modes have mixed as far as 2500 points can tell.
    "langevin": {
        "chains": 3000, "steps": 200, "step_sizes": (0.2, 1.0, 3.0), "points": 2500, "time": 60.0,
        "small": (0.4, 0.05), "lengths": (20, 1200),
    },
    "memorisation": {
        "sizes": (100, 300, 1000), "samples": 1000, "few": 20, "lengths": (100, 2000), "seeds": 1,
    },
    # Standard errors: 0.014 of a weight of 1200 chains, 0.006 of one of 6000; SW1 of 2000 points
    # has a floor of 0.05 ± 0.01 on rings.
    "mixing": {"chains": 400, "points": 2000, "repeats": 3},
    "scaling": {"dims": (2, 10, 40), "repeats": 3, "width": 64, "networks": 4},
    # Means of standardised MMD² then have standard errors of 0.06.
    "selftest": {"points": 200, "repeats": 40},
    "separation": {"points": 500, "fits": 1000},
    # Ratios of variances have standard errors of 6 %; the exact score's mean loss one of 0.2 %.
    "sigma": {
        "steps": 1000, "seeds": 1, "width": 48, "sigmas": (0.01, 0.2, 0.5),
        "ratios": (0.1, 1.0, 3.0), "fits": 500, "sample": 500,
    },
    "solvers": {"points": 4000, "repeats": 3},
    "target": {"points": 20_000, "steps": 300, "seeds": 1},
    "truncated": {"points": 2000, "repeats": 40, "steps": 800},
    # Exponents then have standard errors of 0.05, gradient variances of 2 % to 5 % (d = 10).
    "variance": {"counts": (1, 2, 8), "repeats": 40, "dims": (1, 2, 10), "draws": 20_000},
}  # fmt: skip

# Words of claims that hold only after longer training, or on a machine that does nothing else.
LONGER = {
    "equivalence": "excess loss over",
    "illposed": "^ssm|data noise|inside",
    "kernels": "a network is the better one",
    "scaling": "^seconds",
    "sigma": "small$|U-shape",
}
