from otter.test_files import test_case

OK_FORMAT = False

name = "B4"
points = 9

@test_case(points=None, hidden=False)
def test_parameters_and_buffers(env):
    import torch
    from src.checks import answer, checking, compare, require
    with checking('B4'):
        bn = answer(env, 'B4', 'BatchNorm1d')(5)
        parameters, buffers = (dict(bn.named_parameters()), dict(bn.named_buffers()))
        require(set(parameters) == {'gamma', 'beta'}, f'the parameters are {sorted(parameters)}; they should be exactly beta and gamma')
        require(hasattr(bn, 'num_batches_tracked'), 'num_batches_tracked is missing; it should count the training batches')
        for name in ('running_mean', 'running_var'):
            require(name in buffers, f'{name} is not a buffer, so it would not be saved with the model; use register_buffer')
        compare('the initial gamma', bn.gamma, torch.ones(5))
        compare('the initial beta', bn.beta, torch.zeros(5))
        compare('the initial running_mean', bn.running_mean, torch.zeros(5))
        compare('the initial running_var', bn.running_var, torch.ones(5))

@test_case(points=None, hidden=False)
def test_as_torch_on_one_batch(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('B4'):
        draw = torch.Generator().manual_seed(5)
        bn = answer(env, 'B4', 'BatchNorm1d')(5, eps=0.001, momentum=0.3).double()
        judge = torch.nn.BatchNorm1d(5, eps=0.001, momentum=0.3, dtype=torch.float64)
        with torch.no_grad():
            for mine, its in ((bn.gamma, judge.weight), (bn.beta, judge.bias)):
                its.copy_(torch.randn(5, dtype=torch.float64, generator=draw))
                mine.copy_(its.reshape(mine.shape))
        x = 2 * torch.randn(6, 5, dtype=torch.float64, generator=draw) + 1
        compare('the output in training mode', bn(x), judge(x), **FLOAT64)
        require(not (bn.running_mean.requires_grad or bn.running_var.requires_grad), 'the running statistics are attached to the autograd graph; update them under torch.no_grad()')
        compare('running_mean after one batch', bn.running_mean, judge.running_mean, **FLOAT64)
        compare('running_var after one batch', bn.running_var, judge.running_var, **FLOAT64)
        require(int(bn.num_batches_tracked) == 1, f'num_batches_tracked is {bn.num_batches_tracked} after one batch')
        bn.eval()
        judge.eval()
        compare('the output in evaluation mode', bn(x), judge(x), **FLOAT64)
        compare('the output for one example in evaluation mode', bn(x[:1]), judge(x[:1]), **FLOAT64)
        compare('running_mean after an evaluation', bn.running_mean, judge.running_mean, **FLOAT64)
        bn.train()
        try:
            bn(x[:1])
        except Exception:
            return
        require(False, 'training mode accepted a batch of one example, which has no variance; raise a ValueError')

