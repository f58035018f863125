"""Every registered objective and sampler passes the checks of its kind."""

import pytest
from scorebench.datasets import get_dataset
from scorebench.methods import methods, samplers
from scorebench.methods.setting import Setting
from scorebench.methods.testing import MethodConformance, SamplerConformance


class TestDSM(MethodConformance):
    name = "dsm"


class TestDEEN(MethodConformance):
    name = "deen"


class TestSSM(MethodConformance):
    name = "ssm"


class TestSSMOrthogonal(MethodConformance):
    name = "ssm"
    options = {"n_slices": 2, "slice_kind": "orthogonal"}


class TestSSMVR(MethodConformance):
    name = "ssm_vr"


class TestISM(MethodConformance):
    name = "ism"


class TestFDSSM(MethodConformance):
    name = "fd_ssm"


class TestFDDSM(MethodConformance):
    name = "fd_dsm"


class TestGridLikelihood(MethodConformance):
    name = "mle_grid"


class TestNCSN(MethodConformance):
    name = "ncsn"


class TestControlledDSM(MethodConformance):
    name = "dsm_cv"


class TestTSM(MethodConformance):
    name = "tsm"


class TestDiffusion(MethodConformance):
    name = "diffusion"


class TestFlowMatching(MethodConformance):
    name = "diffusion"
    options = {"predicts": "flow", "weight": "flow", "log_level": 0.7, "log_spread": 1.7}


class TestSharedTargets(MethodConformance):
    name = "diffusion"
    options = {"share": 4}


class TestCD(MethodConformance):
    name = "cd"


class TestNCE(MethodConformance):
    name = "nce"
    options = {"spread": 0.5}


class TestConditionalNCE(MethodConformance):
    name = "cnce"


class TestKDE(MethodConformance):
    name = "kde"


class TestStein(MethodConformance):
    name = "stein"


class TestSSGE(MethodConformance):
    name = "ssge"


class TestKEF(MethodConformance):
    name = "kef"


class TestExact(MethodConformance):
    name = "exact"


class TestLangevin(SamplerConformance):
    name = "langevin"
    options = {"steps": 60}


class TestAnnealedLangevin(SamplerConformance):
    name = "annealed_langevin"
    options = {"steps": 5, "denoise": True}


class TestBAOAB(SamplerConformance):
    name = "baoab"
    options = {"steps": 40, "denoise": True}


class TestMALA(SamplerConformance):
    name = "mala"
    options = {"steps": 40}


class TestHMC(SamplerConformance):
    name = "hmc"
    options = {"steps": 4, "leapfrogs": 5, "denoise": True}


class TestParallelTempering(SamplerConformance):
    name = "parallel_tempering"
    options = {"steps": 10, "temperatures": 3}


class TestSMCLangevin(SamplerConformance):
    name = "smc_langevin"
    # Points are weighed against each other, so those of 2,000 differ from the first of 3,000, and
    # paths are those of a population large enough to weigh.
    skipped = ("points_do_not_depend_on_how_many_follow", "paths_end_at_the_samples")


class TestGrid(SamplerConformance):
    name = "grid"
    options = {"cells": 150}


class TestProbabilityFlow(SamplerConformance):
    name = "pf_ode"
    options = {"steps": 6, "denoise": True}


class TestDPMSolver(SamplerConformance):
    name = "dpmpp_2m"
    options = {"steps": 6}


class TestEuler(SamplerConformance):
    name = "euler"
    options = {"steps": 6}


class TestHeun(SamplerConformance):
    name = "heun"
    options = {"steps": 6, "denoise": True}


class TestReverseSDE(SamplerConformance):
    name = "reverse_sde"
    options = {"steps": 6}


class TestAncestral(SamplerConformance):
    name = "ancestral"
    options = {"steps": 6}


class TestPredictorCorrector(SamplerConformance):
    name = "pc"
    options = {"steps": 6, "corrections": 2, "denoise": True}


def test_none_is_left_out():
    tested = [case for case in globals().values() if isinstance(case, type)]
    names = {case.name for case in tested if hasattr(case, "name")}
    # `points` needs a file.
    assert names >= {*methods.builtin, *samplers.builtin} - {"points"}


@pytest.mark.parametrize(
    ("registry", "name", "change", "reason"),
    [
        (samplers, "mala", {"energy": False}, "needs an energy"),
        (samplers, "grid", {"energy": False}, "needs an energy"),
        (samplers, "parallel_tempering", {"energy": False}, "needs an energy"),
        (samplers, "grid", {"dataset": get_dataset("gaussian_ring", dim=3)}, "d = 3"),
        (samplers, "pf_ode", {"levels": False}, "every noise level"),
        (methods, "mle_grid", {"energy": False}, "fits an energy"),
        (methods, "mle_grid", {"dataset": get_dataset("gaussian_ring", dim=3)}, "d = 3"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(registry, name, change, reason):
    setting = Setting(get_dataset("8gaussians"), energy=True, levels=True)
    assert registry.get(name).unfit(setting) is None
    assert reason in registry.get(name).unfit(setting._replace(**change))
