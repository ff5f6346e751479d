from otter.test_files import test_case

OK_FORMAT = False

name = "R6"
points = 5

@test_case(points=None, hidden=False)
def test_post_norm_block(env):
    import torch
    from torch.nn.functional import batch_norm, linear
    from src.checks import FLOAT64, answer, checking, compare, compare_gradients, require
    with checking('R6'):
        PostNormBlock = answer(env, 'R6', 'PostNormBlock')
        torch.manual_seed(0)
        block = PostNormBlock(20, 80, scale=0.5).double()
        for name in ('norm', 'fc1', 'fc2'):
            require(hasattr(block, name), f'the block has no `{name}`; it should have the same three layers as ResidualBlock')
        biases = [getattr(layer, 'bias', None) for layer in (block.fc1, block.fc2)]
        require(biases == [None, None], 'fc1 and fc2 should have no bias; use bias=False')
        wide = PostNormBlock(100, 400)
        for what, weight, target in (('fc1.weight at scale 0.5', block.fc1.weight, 20 ** (-0.5)), ('fc2.weight at scale 0.5', block.fc2.weight, 0.5 * 80 ** (-0.5)), ('fc2.weight without `scale`', wide.fc2.weight, 0.05)):
            slips = {'scaling fc1 as well; scale belongs to fc2': target / 2, 'not applying scale': 2 * target}
            compare(f'the standard deviation of {what}', weight.std(), target, rtol=0.1, atol=0, slips=slips)
        with torch.no_grad():
            block.norm.weight.uniform_(0.5, 1.5)
            block.norm.bias.uniform_(-0.5, 0.5)
        norm, w1, w2 = (block.norm, block.fc1.weight, block.fc2.weight)

        def normalised(values):
            return batch_norm(values, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
        stream = (2 + 3 * torch.randn(32, 20, dtype=torch.float64)).requires_grad_()
        given = stream.detach().clone()
        yours = block(given)
        require(torch.equal(given, stream), 'the block modified its input in place; create a new tensor instead')
        total = stream + linear(linear(stream, w1).tanh(), w2)
        slips = {'normalising in the branch, as in ResidualBlock': stream + linear(linear(normalised(stream), w1).tanh(), w2), 'leaving out the norm': total, 'leaving out the skip path': normalised(total - stream), 'normalising the branch only; normalise the sum': stream + normalised(total - stream), 'normalising before the branch and after the sum': normalised(stream + linear(linear(normalised(stream), w1).tanh(), w2))}
        compare('block(x)', yours, normalised(total), **FLOAT64, slips=slips)
        require(norm.training, 'a call of the block in training mode put its norm into evaluation mode')
        average = total.detach().mean(0)
        slips = {'not updating it in training mode': 0 * average, 'calling the norm twice': 0.19 * average}
        compare('norm.running_mean after one call', norm.running_mean, 0.1 * average, **FLOAT64, slips=slips)
        block.eval()
        kept = (norm.running_mean, norm.running_var)
        target = batch_norm(total, *kept, norm.weight, norm.bias, training=False, eps=norm.eps)
        compare('block(x) in evaluation mode', block(stream), target, **FLOAT64)
        compare('block(x) in evaluation mode, one example', block(stream[:1]), target[:1], **FLOAT64)
        block.train()
        cotangent = torch.randn(32, 20, dtype=torch.float64)
        places = {'x': (stream, stream), 'fc1.weight': (w1, w1), 'fc2.weight': (w2, w2), 'norm.weight': (norm.weight,) * 2}
        compare_gradients(block(stream), normalised(total), places, cotangent)

@test_case(points=None, hidden=False)
def test_identity_path(env):
    import torch
    from src.checks import answer, checking, require

    class Stand(torch.nn.Module):
        """Has the layers of a block; `end` says what it returns."""

        def __init__(self, d_model, d_ff, scale=1.0):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(d_model, eps=1e-30)
            self.fc1, self.fc2 = (torch.nn.Linear(*sizes, bias=False) for sizes in ((d_model, d_ff), (d_ff, d_model)))

        def forward(self, x):
            require(len(x) >= 8, f'is_identity_path uses a batch of {len(x)}; use at least 8 examples')
            require((x.std(0) > 0).all(), 'is_identity_path uses a batch of equal numbers; draw them at random')
            return self.end(x, x + self.fc2(self.fc1(x).tanh()))

    def stand(end):
        return type('Block', (Stand,), {'end': end})(6, 10)
    with checking('R6'):
        is_identity_path = answer(env, 'R6', 'is_identity_path')
        blocks = {'a ResidualBlock': (answer(env, 'R2', 'ResidualBlock')(6, 10), True), 'a PostNormBlock': (answer(env, 'R6', 'PostNormBlock')(6, 10), False), 'a block of another class that returns its input': (stand(lambda block, x, total: total), True), 'a float64 block that returns its input': (stand(lambda block, x, total: total).double(), True), 'a block with its norm on the stream': (stand(lambda block, x, total: block.norm(total)), False), 'a block that returns almost its input': (stand(lambda block, x, total: total * (1 + 1e-06)), False), 'a block that changes one feature': (stand(lambda block, x, total: total + torch.eye(6)[0]), False), 'a block that swaps examples': (stand(lambda block, x, total: total.roll(1, 0)), False), 'a block that swaps features': (stand(lambda block, x, total: total.roll(1, 1)), False), 'a block with a second branch, without fc2': (stand(lambda block, x, total: total + block.fc1(x)[:, :6]), False)}
        for name, (block, target) in blocks.items():
            start = {key: value.clone() for key, value in block.state_dict().items()}
            weight = block.fc2.weight
            for training in (True, False):
                block.train(training)
                yours = is_identity_path(block)
                require(bool(yours) == target, f'is_identity_path of {name} returned {bool(yours)}; it should return {target}')
                require(block.training == training, f'the call changed the mode of {name}; experiment on a copy')
                for key, value in block.state_dict().items():
                    require(torch.equal(value, start[key]), f'the call changed `{key}` of {name}; experiment on a copy')
                kept = block.norm.momentum == 0.1
                require(kept, f'the call changed the momentum of the norm of {name}; experiment on a copy')
                require(block.fc2.weight is weight, f'the call replaced fc2.weight of {name}; experiment on a copy')

