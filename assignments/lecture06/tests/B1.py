from otter.test_files import test_case

OK_FORMAT = False

name = "B1"
points = 3

@test_case(points=None, hidden=False)
def test_activation_statistics(env):
    import numpy as np
    import torch
    from src.checks import answer, checking, compare, require
    with checking('B1'):
        activation_stats = answer(env, 'B1', 'activation_stats')
        wide = torch.tensor([[0.0, 3.0, -3.0, 1.0], [2.0, -2.2, 0.5, 9.0], [1.5, -1.0, 0.1, -0.4]], dtype=torch.float64)
        before = wide.clone()
        stats = activation_stats(wide)
        keys = ('mean', 'std', 'saturated')
        require(isinstance(stats, dict) and (not set(keys) - set(stats)), 'the result should be a dictionary with the keys "mean", "std" and "saturated"')
        single = activation_stats(wide.float() + 1.0)
        for key in keys:
            for value in (stats[key], single[key]):
                kind = type(value).__name__
                require(isinstance(value, float), f'{key} has type {kind}; it should be a Python float')
        require(torch.equal(wide, before), 'pre was modified; leave the input unchanged')
        require(stats['saturated'] <= 1, 'saturated should be a fraction between 0 and 1, not a count or a percentage')
        values = wide.numpy()
        slips = {'counting only the positive side; take the absolute value': 3 / 12, 'comparing pre instead of tanh(pre) with 0.97': 8 / 12}
        compare('saturated (12 entries, 4 of them saturated)', stats['saturated'], 1 / 3, slips=slips)
        slips = {'not applying tanh': values.mean(), 'taking the absolute value first': np.abs(np.tanh(values)).mean()}
        compare('mean', stats['mean'], float(np.mean(np.tanh(values))), slips=slips)
        right = [float(np.std(np.tanh(values), ddof=d)) for d in (1, 0)]
        require(min((abs(stats['std'] - r) for r in right)) < 0.0002, f"std is {stats['std']:.4f}; the standard deviation of tanh(pre) over all entries is {right[0]:.4f}")
        edge = torch.atanh(torch.full((1, 2), 0.97, dtype=torch.float64))
        while (edge.tanh() > 0.97).any():
            edge = torch.nextafter(edge, torch.zeros_like(edge))
        on_edge = activation_stats(edge)
        require(on_edge['mean'] != 0.97 or on_edge['saturated'] == 0, 'an entry of exactly 0.97 counts as saturated; the comparison should be strict')
        recorded = activation_stats(wide.clone().requires_grad_() * 1.0)
        require(all((isinstance(recorded[key], float) for key in keys)), 'if pre requires gradients, the values are not Python floats; use .item()')
        compare('mean (pre requires gradients)', recorded['mean'], stats['mean'])
        require(single['mean'] != stats['mean'], 'other values of the same shape give the mean of the call before')

