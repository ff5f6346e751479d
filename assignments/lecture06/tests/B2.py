from otter.test_files import test_case

OK_FORMAT = False

name = "B2"
points = 4

@test_case(points=None, hidden=False)
def test_deviation_in_place(env):
    import torch
    from src.checks import answer, checking, require
    with checking('B2'):
        kaiming_ = answer(env, 'B2', 'kaiming_')
        state = torch.get_rng_state()
        try:
            for shape, options, target in (((400, 100), {}, 1 / 12), ((64, 900), {'gain': 1.0}, 1 / 8)):
                weight = torch.nn.Parameter(torch.full(shape, 5.0))
                torch.manual_seed(6)
                result = kaiming_(weight, **options)
                require(result is weight, 'return the given tensor itself, filled in place, not a new one')
                require(weight.grad_fn is None and weight.requires_grad, 'autograd recorded the operation; use torch.no_grad()')
                std, gain = (weight.detach().std().item(), options.get('gain', 5 / 3))
                for slip, wrong in (('fan_out; fan_in is the first dimension here', gain / shape[1] ** 0.5), ('the variance where the standard deviation is asked for', gain ** 2 / shape[0]), ('fan_in without its square root', gain / shape[0]), ('no gain', 1 / shape[0] ** 0.5), ('the gain without the fan-in', gain)):
                    require(abs(std / wrong - 1) > 0.05 or abs(wrong / target - 1) < 0.05, f'for shape {shape}, the standard deviation {std:.4f} is that of {slip}')
                require(abs(std / target - 1) < 0.05, f"for shape {shape} and gain {options.get('gain', '5/3')}, the weights have a standard deviation of {std:.4f}; it should be about {target:.4f}")
                mean = weight.detach().mean().item()
                require(abs(mean) < target / 20, f'the mean of the weights is {mean:.4f}; it should be about 0')
                require(weight.detach().abs().max() > 3.2 * std, f'all {weight.numel():,} weights are within 3.2 standard deviations; draw from a normal distribution')
        finally:
            torch.set_rng_state(state)

@test_case(points=None, hidden=False)
def test_seed_decides(env):
    import torch
    from src.checks import answer, checking, require
    with checking('B2'):
        kaiming_ = answer(env, 'B2', 'kaiming_')
        state = torch.get_rng_state()
        try:
            drawn = []
            for seed in (1, 1, 2):
                torch.manual_seed(seed)
                drawn.append(kaiming_(torch.zeros(9, 8)).clone())
            require(torch.equal(drawn[0], drawn[1]), "the same torch.manual_seed gave different weights; draw from torch's global generator")
            require(not torch.equal(drawn[0], drawn[2]), 'different seeds gave the same weights; do not set a seed inside the function')
        finally:
            torch.set_rng_state(state)

