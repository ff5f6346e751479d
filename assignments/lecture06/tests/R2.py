from otter.test_files import test_case

OK_FORMAT = False

name = "R2"
points = 6

@test_case(points=None, hidden=False)
def test_block_adds_its_branch_to_the_stream(env):
    import torch
    from torch.nn.functional import batch_norm
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R2'):
        ResidualBlock = answer(env, 'R2', 'ResidualBlock')
        torch.manual_seed(0)
        block = ResidualBlock(6, 10, scale=0.5).double()
        for name in ('norm', 'fc1', 'fc2'):
            require(hasattr(block, name), f'the block has no `{name}`; the table in the question names the three layers')
        compare('the shape of fc1.weight', torch.tensor(block.fc1.weight.shape), torch.tensor([10, 6]))
        compare('the shape of fc2.weight', torch.tensor(block.fc2.weight.shape), torch.tensor([6, 10]))
        require(block.fc1.bias is None and block.fc2.bias is None, 'fc1 and fc2 should have no bias; use bias=False')
        with torch.no_grad():
            block.norm.weight.uniform_(0.5, 1.5)
            block.norm.bias.uniform_(-0.5, 0.5)
        stream = 2 + 3 * torch.randn(32, 6, dtype=torch.float64)
        read = batch_norm(stream, None, None, block.norm.weight, block.norm.bias, training=True, eps=block.norm.eps)
        target = (read @ block.fc1.weight.T).tanh() @ block.fc2.weight.T
        given = stream.clone()
        after = block(given)
        require(torch.equal(given, stream), 'the block modified its input in place; create a new tensor instead')
        compare('(block(x) - x)', after - stream, target, **FLOAT64)
        as_built = ResidualBlock(6, 10)(stream.float())
        kind = as_built.dtype
        require(kind == torch.float32, f'for a float32 stream, a new block returns {kind}; its weights should be float32')

@test_case(points=None, hidden=False)
def test_block_starts_with_the_right_spread(env):
    import torch
    from src.checks import answer, checking, compare
    with checking('R2'):
        ResidualBlock = answer(env, 'R2', 'ResidualBlock')
        torch.manual_seed(0)
        block = ResidualBlock(100, 400, scale=0.25)
        compare('the standard deviation of fc1.weight', block.fc1.weight.std(), 0.1, rtol=0.05, atol=0)
        compare('the standard deviation of fc2.weight at scale 0.25', block.fc2.weight.std(), 0.0125, rtol=0.05, atol=0)

