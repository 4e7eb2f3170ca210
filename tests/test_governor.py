"""What keeps a fast heater below its limits: a bound on the level, from how fast tissue was seen to warm."""

from __future__ import annotations

import numpy as np
import pytest

from thermal.physics.control.governor import Governor, Seen
from thermal.physics.control.kinds import FRESH, BangBang, Pid

EVERY, LAG, LIMIT = 10.0, 5.0, 80.0


def treat(controller: BangBang | Pid, speed: float, noise: float, seed: int, *, governed: bool = True) -> np.ndarray:
    """Temperatures (k, 2) of two places under control: one heats at ``speed`` K/s for a level of one, and each loses
    heat to the other in 20 s and to the blood in 40 s. Steps of 0.1 s; images every 10 s are 5 s late."""
    chance = np.random.default_rng(seed)
    temperature, level, dose = np.array([37.0, 37.0]), 0.0, 0.0
    governor = Governor(noise, np.full(2, LIMIT), 0.1)
    images: list[Seen] = []
    seen: list[Seen] = []
    levels: list[tuple[float, float]] = []
    keeps, all_of = FRESH, []
    for tick in range(4000):
        time = 0.1 * tick
        if tick % 100 == 0:
            images.append(Seen(time, temperature + noise * chance.standard_normal(2), dose))
            shown = [image for image in images if image.taken + LAG <= time]
            if shown:
                if not seen or shown[-1].taken > seen[-1].taken:
                    seen = [*seen[:1], *seen[1:][-2:], shown[-1]]
                governor.watch(seen)
                since = seen[-min(3, len(seen))].taken
                least = min((one for t, one in levels if t + EVERY > since), default=0.0)
                most = min(governor.most(seen, dose, least, time, EVERY), 2.0) if governed else 2.0
                keeps = controller.level(keeps, float((LIMIT - seen[-1].values).min()), EVERY, most)
                level = keeps[0]
            levels.append((time, level))
        across = (temperature[::-1] - temperature) / 20.0
        temperature = temperature + 0.1 * (across - (temperature - 37.0) / 40.0 + [speed * level, 0.0])
        dose += 0.1 * level
        all_of.append(temperature)
    return np.array(all_of)


@pytest.mark.parametrize("controller", [BangBang(kind="bang_bang"), Pid(kind="pid")])
@pytest.mark.parametrize("speed", [0.3, 3.0, 10.0])
def test_no_heater_is_too_fast(controller: BangBang | Pid, speed: float) -> None:
    """From 3 to 100 K in a look at level one: the limit is kept, and reached where the power is there for that."""
    hottest = treat(controller, speed, 0.0, 0).max()
    assert hottest <= LIMIT + 1e-9
    reached = 37.0 + 24.0 * 2.0 * speed  # at the highest level: half of 40 s (both places) and of 8 s (between them)
    assert hottest > min(LIMIT, reached) - 15.0  # it looks ahead for 15 s as if nothing slowed the rise


def test_without_it_a_fast_heater_passes_its_limit() -> None:
    assert treat(BangBang(kind="bang_bang"), 3.0, 0.0, 0, governed=False).max() > LIMIT + 20.0
    assert treat(Pid(kind="pid"), 3.0, 0.0, 0, governed=False).max() > LIMIT + 20.0


def test_noise_makes_it_careful() -> None:
    """With 1 K of noise the limit is passed by no more than the caution of 3 K that cases keep, over 20 seeds."""
    found = [treat(Pid(kind="pid"), 3.0, 1.0, seed).max() for seed in range(20)]
    assert max(found) < LIMIT + 3.0
    assert np.mean(found) > LIMIT - 15.0


def test_what_noise_hides_bounds_the_rate() -> None:
    """Nothing seen of a dose of one second: at most two standard deviations may be hidden."""
    governor = Governor(1.0, np.full(3, LIMIT), 0.1)
    first = Seen(0.0, np.full(3, 37.0), 0.0)
    governor.watch([first])
    assert governor.most([first], 0.0, 0.0, 10.0, EVERY) == 0.1
    images = [first, Seen(10.0, np.full(3, 37.0), 1.0)]
    governor.watch(images)
    assert not governor.settled
    assert governor.rate == pytest.approx(np.full(3, 2.0))
    assert governor.most(images, 1.0, 0.0, 10.0, EVERY) == pytest.approx(43.0 / 20.0)
    assert governor.most(images, 1.0, 0.1, 10.0, EVERY) == pytest.approx(43.0 / 20.0 + 0.1)  # which was carried off
