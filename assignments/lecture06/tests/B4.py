from otter.test_files import test_case

OK_FORMAT = False

name = "B4"
points = 9

@test_case(points=None, hidden=False)
def test_parameters_and_buffers(env):
    import torch
    from src.checks import answer, checking, compare, parameters_of, require
    with checking('B4'):
        BatchNorm1d = answer(env, 'B4', 'BatchNorm1d')
        bn = BatchNorm1d(5)
        parameters = parameters_of(bn, ('gamma', 'beta'))
        buffers = dict(bn.named_buffers(remove_duplicate=False))
        require(set(parameters) == {'gamma', 'beta'}, f'the parameters are {sorted(parameters)}; they should be exactly beta and gamma')
        require(hasattr(bn, 'num_batches_tracked'), 'num_batches_tracked is missing; it should count the training batches')
        for name in ('running_mean', 'running_var'):
            require(name in buffers, f'{name} is not a buffer, so it would not be saved with the model; use register_buffer')
        for name in {'running_mean', 'running_var', 'num_batches_tracked'} & set(buffers):
            require(name in bn.state_dict(), f'{name} is not in the state_dict; register it as a persistent buffer')
        compare('the initial gamma', bn.gamma, torch.ones(5))
        compare('the initial beta', bn.beta, torch.zeros(5))
        compare('the initial running_mean', bn.running_mean, torch.zeros(5))
        compare('the initial running_var', bn.running_var, torch.ones(5))
        for name, default, other in (('eps', 1e-05, 0.001), ('momentum', 0.1, 0.3)):
            for layer, target in ((bn, default), (BatchNorm1d(5, **{name: other}), other)):
                found = getattr(layer, name, None)
                require(found == target, f'the attribute {name} is {found}; it should be {target}')
        twin = BatchNorm1d(5)
        twin(torch.randn(6, 5, generator=torch.Generator().manual_seed(1)))
        compare('running_mean of one layer after training another', bn.running_mean, torch.zeros(5))

@test_case(points=None, hidden=False)
def test_as_torch_on_one_batch(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, no_built_in_batch_norm, require
    with checking('B4'):
        draw = torch.Generator().manual_seed(5)
        bn = answer(env, 'B4', 'BatchNorm1d')(5, eps=0.001, momentum=0.3).double()
        judge = torch.nn.BatchNorm1d(5, eps=0.001, momentum=0.3, dtype=torch.float64)
        with torch.no_grad():
            for mine, its in ((bn.gamma, judge.weight), (bn.beta, judge.bias)):
                its.copy_(torch.randn(5, dtype=torch.float64, generator=draw))
                mine.copy_(its.reshape(mine.shape))
        x = (2 * torch.randn(6, 5, dtype=torch.float64, generator=draw) + 1).requires_grad_()
        with no_built_in_batch_norm():
            mine = bn(x)
        compare('the output in training mode', mine, judge(x), **FLOAT64)
        require(not (bn.running_mean.requires_grad or bn.running_var.requires_grad), 'the running statistics are attached to the autograd graph; update them under torch.no_grad()')
        start, batch = (torch.zeros(5, dtype=torch.float64), x.detach().mean(0))
        slips = {'not updating it in training mode': start, 'swapping the momentum and 1 - momentum': 0.7 * batch, 'ignoring the given momentum': 0.1 * batch}
        compare('running_mean after one batch', bn.running_mean, judge.running_mean, **FLOAT64, slips=slips)
        unbiased = (judge.running_var - 0.7) / 0.3
        slips = {'not updating it in training mode': start + 1, 'storing the biased variance; multiply by N / (N - 1)': 0.7 + 0.3 * unbiased * 5 / 6, 'swapping the momentum and 1 - momentum': 0.3 + 0.7 * unbiased, 'storing the standard deviation': 0.7 + 0.3 * unbiased.sqrt(), 'starting from 0': 0.3 * unbiased}
        compare('running_var after one batch', bn.running_var, judge.running_var, **FLOAT64, slips=slips)
        require(int(bn.num_batches_tracked) == 1, f'num_batches_tracked is {bn.num_batches_tracked} after one batch')
        bn.eval()
        with no_built_in_batch_norm():
            mine = bn(x)
        judge.eval()
        of_batch = torch.nn.functional.batch_norm(x, None, None, judge.weight, judge.bias, training=True, eps=judge.eps)
        slips = {'using the statistics of the batch; use the running ones': of_batch}
        compare('the output in evaluation mode', mine, judge(x), **FLOAT64, slips=slips)
        compare('the output for one example in evaluation mode', bn(x[:1]), judge(x[:1]), **FLOAT64)
        compare('running_mean after an evaluation', bn.running_mean, judge.running_mean, **FLOAT64)
        compare('running_var after an evaluation', bn.running_var, judge.running_var, **FLOAT64)
        require(int(bn.num_batches_tracked) == 1, 'num_batches_tracked changed in evaluation mode')
        bn.train()
        judge.train()
        with torch.no_grad():
            compare('the output in training mode under torch.no_grad()', bn(x), judge(x), **FLOAT64)
        slips = {'not updating it under torch.no_grad(); the mode decides': 0.3 * batch}
        compare('running_mean after two batches', bn.running_mean, judge.running_mean, **FLOAT64, slips=slips)
        compare('running_var after two batches', bn.running_var, judge.running_var, **FLOAT64)
        require(int(bn.num_batches_tracked) == 2, f'num_batches_tracked is {bn.num_batches_tracked} after two batches')
        for n in (2, 3):
            compare(f'the output in training mode for a batch of {n}', bn(x[:n]), judge(x[:n]), **FLOAT64)
        try:
            bn(x[:1])
        except Exception:
            return
        require(False, 'training mode accepted a batch of one example, which has no variance; raise a ValueError')

@test_case(points=None, hidden=False)
def test_gradients_of_the_layer(env):
    import torch
    from src.checks import answer, checking, compare_gradients
    with checking('B4'):
        draw = torch.Generator().manual_seed(15)
        bn = answer(env, 'B4', 'BatchNorm1d')(4, eps=1e-07).double()
        judge = torch.nn.BatchNorm1d(4, eps=1e-07, dtype=torch.float64)
        x, cotangent = torch.randn(2, 7, 4, dtype=torch.float64, generator=draw)
        x.requires_grad_()
        share = cotangent * (x.detach().var(0, unbiased=False) + judge.eps).rsqrt()
        slips = {'x': {'detaching the statistics of the batch; gradients must flow through them': share, 'detaching the variance of the batch': share - share.mean(0)}}
        for training in (True, False):
            places = {'x': (x, x), 'gamma': (bn.gamma, judge.weight), 'beta': (bn.beta, judge.bias)}
            compare_gradients(bn.train(training)(x), judge.train(training)(x), places, cotangent, slips if training else None)

@test_case(points=None, hidden=False)
def test_layer_follows_its_attributes_and_buffers(env):
    import contextlib
    import torch
    from src.checks import answer, checking, compare
    with checking('B4'):
        layer = answer(env, 'B4', 'BatchNorm1d')(3).double()
        x = torch.tensor([[1.0, -2.0, 0.5], [2.0, 0.0, 4.0], [-1.0, 5.0, 1.0], [0.5, 1.0, 2.5]], dtype=torch.float64)
        first = layer.eval()(x).detach()
        layer.requires_grad_(False)
        for name, value in (('eps', 0.2), ('momentum', 0.5)):
            with contextlib.suppress(AttributeError):
                setattr(layer, name, value)
        eps, momentum = (layer.eps, layer.momentum)
        mean, var = (x.mean(0), x.var(0, correction=0))
        slips = {'using the eps passed to __init__; use self.eps': (x - mean) / torch.sqrt(var + 1e-05), 'using the running statistics because nothing requires a gradient': x / (1 + eps) ** 0.5}
        what = 'the training output where eps has changed and nothing requires a gradient'
        compare(what, layer.train()(x), (x - mean) / torch.sqrt(var + eps), slips=slips)
        running_mean, running_var = (momentum * mean, 1 - momentum + momentum * x.var(0))
        slips = {'using the momentum passed to __init__; use self.momentum': 0.1 * mean}
        compare('running_mean after a change of momentum', layer.running_mean, running_mean, slips=slips)
        target = (x - running_mean) / torch.sqrt(running_var + eps)
        slips = {'using the statistics of an earlier evaluation': x / (1 + eps) ** 0.5, 'repeating a result': first}
        compare('the output of a second evaluation, after a training batch', layer.eval()(x), target, slips=slips)

