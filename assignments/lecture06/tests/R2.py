from otter.test_files import test_case

OK_FORMAT = False

name = "R2"
points = 6

@test_case(points=None, hidden=False)
def test_block_adds_its_branch_to_the_stream(env):
    import torch
    from torch.nn.functional import batch_norm, linear
    from src.checks import FLOAT64, answer, checking, compare, compare_gradients, require
    with checking('R2'):
        ResidualBlock = answer(env, 'R2', 'ResidualBlock')
        torch.manual_seed(0)
        block = ResidualBlock(6, 10, scale=0.5).double()
        for name in ('norm', 'fc1', 'fc2'):
            require(hasattr(block, name), f'the block has no `{name}`; the table in the question names the three layers')
        require(block.norm.momentum == 0.1, f"norm has momentum {block.norm.momentum}; keep PyTorch's default, 0.1")
        require(block.norm.eps == 1e-05, f"norm has eps {block.norm.eps}; keep PyTorch's default, 1e-5")
        compare('the shape of fc1.weight', torch.tensor(block.fc1.weight.shape), torch.tensor([10, 6]))
        compare('the shape of fc2.weight', torch.tensor(block.fc2.weight.shape), torch.tensor([6, 10]))
        biases = [getattr(layer, 'bias', None) for layer in (block.fc1, block.fc2)]
        require(biases == [None, None], 'fc1 and fc2 should have no bias; use bias=False')
        with torch.no_grad():
            block.norm.weight.uniform_(0.5, 1.5)
            block.norm.bias.uniform_(-0.5, 0.5)
        norm, w1, w2 = (block.norm, block.fc1.weight, block.fc2.weight)
        stream = (2 + 3 * torch.randn(32, 6, dtype=torch.float64)).requires_grad_()
        read = batch_norm(stream, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
        branch = linear(linear(read, w1).tanh(), w2)
        given = stream.detach().clone()
        after = block(given)
        require(torch.equal(given, stream), 'the block modified its input in place; create a new tensor instead')
        slips = {'leaving out the skip path': branch, 'adding the branch to the normalised stream': read + branch, 'leaving out the norm': stream + linear(linear(stream, w1).tanh(), w2), 'applying tanh after the sum': (stream + linear(linear(read, w1), w2)).tanh(), 'applying tanh to the branch, after fc2': stream + linear(linear(read, w1), w2).tanh(), 'leaving out tanh': stream + linear(linear(read, w1), w2), 'using `scale` in forward, too': stream + 0.5 * branch, 'averaging the stream and the branch; add them': (stream + branch) / 2, 'subtracting the branch': stream - branch}
        compare('block(x)', after, stream + branch, **FLOAT64, slips=slips)
        average = stream.detach().mean(0)
        slips = {'not updating it in training mode': 0 * average, 'calling the norm twice': 0.19 * average}
        compare('norm.running_mean after one call', norm.running_mean, 0.1 * average, **FLOAT64, slips=slips)
        cotangent = torch.randn(32, 6, dtype=torch.float64)
        places = {'x': (stream, stream), 'fc1.weight': (w1, w1), 'fc2.weight': (w2, w2), 'norm.weight': (norm.weight,) * 2}
        by_skip, = torch.autograd.grad((branch * cotangent).sum(), stream, retain_graph=True)
        slips = {'x': {'a detached skip path': by_skip, 'a branch that reads a detached stream': cotangent}}
        compare_gradients(block(stream), stream + branch, places, cotangent, slips)
        block.eval()
        mean, var = (norm.running_mean, norm.running_var)
        read = batch_norm(stream, mean, var, norm.weight, norm.bias, training=False, eps=norm.eps)
        target = stream + linear(linear(read, w1).tanh(), w2)
        compare('block(x) in evaluation mode', block(stream), target, **FLOAT64)
        compare('block(x) in evaluation mode, one example', block(stream[:1]), target[:1], **FLOAT64)
        as_built = ResidualBlock(6, 10)(stream.detach().float())
        kind = as_built.dtype
        require(kind == torch.float32, f'for a float32 stream, a new block returns {kind}; its weights should be float32')

@test_case(points=None, hidden=False)
def test_block_starts_with_the_right_spread(env):
    import torch
    from src.checks import answer, checking, compare, require
    with checking('R2'):
        ResidualBlock = answer(env, 'R2', 'ResidualBlock')
        torch.manual_seed(0)
        block, other = (ResidualBlock(100, 400, scale=0.25), ResidualBlock(100, 400))
        for name, fan_in, scale in (('fc1', 100, 1), ('fc2', 400, 0.25)):
            weight = getattr(block, name).weight.detach()
            slips = {'scaling fc1 as well; scale belongs to fc2': 0.025 if name == 'fc1' else 0.0125, 'not applying scale': fan_in ** (-0.5), 'the variance where the standard deviation is asked for': scale / fan_in, 'the number of outputs instead of the number of inputs': scale * (500 - fan_in) ** (-0.5), "PyTorch's default initialization": (3 * fan_in) ** (-0.5)}
            what = f'the standard deviation of {name}.weight (d_model 100, d_ff 400, scale 0.25)'
            compare(what, weight.std(), scale * fan_in ** (-0.5), rtol=0.05, atol=0, slips=slips)
            require(weight.abs().max() > 2.5 * weight.std(), f'{name}.weight is not normally distributed')
        compare('the standard deviation of fc2.weight without `scale`', other.fc2.weight.std(), 0.05, rtol=0.05, atol=0)
        require(not torch.equal(block.fc1.weight, other.fc1.weight), 'two blocks start with the same weights; do not set a seed inside the block')

