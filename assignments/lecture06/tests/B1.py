from otter.test_files import test_case

OK_FORMAT = False

name = "B1"
points = 3

@test_case(points=None, hidden=False)
def test_activation_statistics(env):
    import torch
    from src.checks import answer, checking, compare, require
    with checking('B1'):
        activation_stats = answer(env, 'B1', 'activation_stats')
        wide = torch.tensor([[0.0, 3.0, -3.0, 1.0], [2.0, -2.2, 0.5, 9.0]], dtype=torch.float64)
        before = wide.clone()
        stats = activation_stats(wide)
        require(isinstance(stats, dict) and set(stats) == {'mean', 'std', 'saturated'}, 'the result should be a dictionary with exactly the keys "mean", "std" and "saturated"')
        for key, value in stats.items():
            require(isinstance(value, float), f'{key} is a {type(value).__name__}; a Python float was expected')
        require(torch.equal(wide, before), 'pre was changed; leave the input as it is')
        require(stats['saturated'] <= 1, 'saturated is a share between 0 and 1, not a count or a percentage')
        compare('saturated (for 8 entries, of which 4 are saturated)', stats['saturated'], 0.5)
        values = wide.numpy()
        import numpy as np
        compare('mean', stats['mean'], float(np.mean(np.tanh(values))))
        right = [float(np.std(np.tanh(values), ddof=d)) for d in (1, 0)]
        require(min((abs(stats['std'] - r) for r in right)) < 0.0002, f"std is {stats['std']:.4f}; the standard deviation of tanh(pre) over all entries is {right[0]:.4f}")

