from otter.test_files import test_case

OK_FORMAT = False

name = "R6"
points = 5

@test_case(points=None, hidden=False)
def test_post_norm_block(env):
    import torch
    from torch.nn.functional import batch_norm
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R6'):
        PostNormBlock = answer(env, 'R6', 'PostNormBlock')
        torch.manual_seed(0)
        block = PostNormBlock(20, 80, scale=0.5).double()
        for name in ('norm', 'fc1', 'fc2'):
            require(hasattr(block, name), f'the block has no `{name}`; it should have the same three layers as ResidualBlock')
        spread = block.fc2.weight.std()
        compare('the standard deviation of fc2.weight at scale 0.5', spread, 0.5 / 80 ** 0.5, rtol=0.1, atol=0)
        with torch.no_grad():
            block.norm.weight.uniform_(0.5, 1.5)
            block.norm.bias.uniform_(-0.5, 0.5)
        stream = 2 + 3 * torch.randn(32, 20, dtype=torch.float64)
        total = stream + (stream @ block.fc1.weight.T).tanh() @ block.fc2.weight.T
        target = batch_norm(total, None, None, block.norm.weight, block.norm.bias, training=True, eps=block.norm.eps)
        compare('block(x)', block(stream), target, **FLOAT64)

@test_case(points=None, hidden=False)
def test_identity_path(env):
    import torch
    from src.checks import answer, checking, require
    with checking('R6'):
        is_identity_path = answer(env, 'R6', 'is_identity_path')
        blocks = {'ResidualBlock': (answer(env, 'R2', 'ResidualBlock')(6, 10), True), 'PostNormBlock': (answer(env, 'R6', 'PostNormBlock')(6, 10), False)}
        for name, (block, target) in blocks.items():
            start = {key: value.clone() for key, value in block.state_dict().items()}
            block.eval()
            yours = is_identity_path(block)
            require(bool(yours) == target, f'is_identity_path of a {name} returned {bool(yours)}; it should return {target}')
            require(not block.training, f'the call left the {name} in training mode; experiment on a copy')
            for key, value in block.state_dict().items():
                require(torch.equal(value, start[key]), f'the call changed `{key}` of the {name}; experiment on a copy')

