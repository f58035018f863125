"""Base class of objectives without a noisy target, with optional noise on the data."""

from .base import BaseTrial, Density, MemberRandom, Options, ScoreMatching, Suggested, Tensor


class Implicit(ScoreMatching):
    """An objective for the score of the data themselves, or of data with a little noise.

    Without noise the loss is unbounded below where the density jumps, and on any finite set of
    points; with noise of ``data_noise`` the target is p_sigma (Song and Ermon 2019, section 3.1).
    """

    def noise(self, trial: BaseTrial) -> Suggested:
        """Suggest ``data_noise`` (default: 0, unless a study gives a value or a range)."""
        return {"data_noise": trial.suggest_float("data_noise", 0.0, 0.0)}

    def noisy(self, x: Tensor, rng: MemberRandom, data_noise: Tensor | float) -> Tensor:
        """Add new noise to a batch; a plain 0 draws none."""
        if isinstance(data_noise, float) and data_noise == 0:
            return x
        return x + data_noise * rng.normal_like(x)

    def target(self, options: Options) -> float:
        return float(options.get("data_noise", 0.0))

    def least(self, dataset: Density, options: Options) -> float:
        """Compute -I/2 with I = E|∇log p|² of the target (Hyvärinen 2005, theorem 1)."""
        return -dataset.fisher_information(self.target(options)) / 2
