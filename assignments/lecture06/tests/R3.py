from otter.test_files import test_case

OK_FORMAT = False

name = "R3"
points = 6

@test_case(points=None, hidden=False)
def test_network_has_the_right_parts(env):
    import torch
    from src.checks import answer, checking, compare, require
    with checking('R3'):
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 16, 40, 90, 8)
        for name in ('embedding', 'inp', 'blocks', 'norm_f', 'head'):
            require(hasattr(model, name), f'the network has no `{name}`; the table in the question lists its parts')
        require(len(model.blocks) == 8, f'for n_layers=8 the network has {len(model.blocks)} block(s)')
        require(len({id(block) for block in model.blocks}) == 8, 'the blocks are not all different objects')
        count = sum((weight.numel() for weight in model.parameters()))
        target = 27 * 16 + (48 * 40 + 40) + 8 * (2 * 40 + 2 * 40 * 90) + 2 * 40 + (40 * 27 + 27)
        require(count == target, f'model.parameters() has {count:,} numbers; the target is {target:,}. Is `blocks` an nn.ModuleList, and has the model parameters that the table does not list?')
        spread = torch.stack([block.fc2.weight.detach().std() for block in model.blocks]).mean()
        compare('the standard deviation of fc2.weight', spread, 0.25 / 90 ** 0.5, rtol=0.05, atol=0)

@test_case(points=None, hidden=False)
def test_stream_runs_through_all_blocks(env):
    import torch
    from torch.nn.functional import batch_norm, linear
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R3'):
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        inputs = torch.randint(27, (40, 3))
        seen = {}
        for index, block in enumerate(model.blocks):
            block.register_forward_hook(lambda _, got, gave, index=index: seen.__setitem__(index, (got[0], gave)))
        logits = model(inputs)
        require(set(seen) == set(range(5)), f'of the blocks 0 to 4, forward called only {sorted(seen)}')
        side_by_side = model.embedding.weight[inputs].reshape(40, 12)
        compare('what block 0 reads', seen[0][0], linear(side_by_side, model.inp.weight, model.inp.bias), **FLOAT64)
        for index in range(1, 5):
            compare(f'what block {index} reads', seen[index][0], seen[index - 1][1], **FLOAT64)
        last = batch_norm(seen[4][1], None, None, model.norm_f.weight, model.norm_f.bias, training=True)
        compare('logits', logits, linear(last, model.head.weight, model.head.bias), **FLOAT64)

