from otter.test_files import test_case

OK_FORMAT = False

name = "R4"
points = 4

@test_case(points=None, hidden=False)
def test_every_block_starts_as_the_identity(env):
    import torch
    from src.checks import answer, checking, require
    with checking('R4'):
        zero_init_ = answer(env, 'R4', 'zero_init_')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5)
        model(torch.randint(27, (40, 3)))
        start = {name: value.detach().clone() for name, value in model.state_dict().items()}
        require(zero_init_(model) is model, 'zero_init_ should return the model it was given')
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, start[name])]
        require(not any(('fc1' in name for name in changed)), 'fc1.weight changed; it does not write to the stream, and with both layers at zero a block cannot learn')
        for name in changed:
            require('fc2' in name, f'{name} changed; zero only the weight that writes to the stream')
        stream = torch.randn(40, 8)
        for index, block in enumerate(model.blocks):
            require(torch.equal(block(stream), stream), f'block {index} still changes the stream')
        own = {block.fc2.weight.data_ptr() for block in model.blocks}
        require(len(own) == 5, 'the blocks share one fc2.weight; each needs its own')
        require(all((weight.requires_grad for weight in model.parameters())), 'a parameter no longer requires gradients, so it cannot learn')
        model(torch.randint(27, (40, 3))).square().mean().backward()
        require(model.blocks[0].fc2.weight.grad.abs().sum() > 0, 'no gradient reaches fc2 of block 0; it cannot learn')

