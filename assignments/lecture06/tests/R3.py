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
        model = ResidualMLP(29, 4, 16, 40, 90, 8)
        for name in ('embedding', 'inp', 'blocks', 'norm_f', 'head'):
            require(hasattr(model, name), f'the network has no `{name}`; the table in the question lists its parts')
        require(isinstance(model.blocks, torch.nn.Module), '`blocks` is not an nn.ModuleList')
        require(len(model.blocks) == 8, f'for n_layers=8 the network has {len(model.blocks)} block(s)')
        require(len({id(block) for block in model.blocks}) == 8, 'the blocks are not all different objects')
        count = sum((weight.numel() for weight in model.parameters()))
        target = 29 * 16 + (64 * 40 + 40) + 8 * (2 * 40 + 2 * 40 * 90) + 2 * 40 + (40 * 29 + 29)
        require(count == target, f'model.parameters() has {count:,} numbers; the target is {target:,}. Is `blocks` an nn.ModuleList, and has the model parameters that the table does not list?')
        spread = torch.stack([block.fc2.weight.detach().std() for block in model.blocks]).mean()
        slips = {'not passing the scale 1/sqrt(2 n_layers) to the blocks': 90 ** (-0.5), 'the scale 1/sqrt(n_layers); it is 1/sqrt(2 n_layers)': (8 * 90) ** (-0.5), 'the scale 1/(2 n_layers); take the square root': 90 ** (-0.5) / 16}
        compare('the standard deviation of fc2.weight', spread, 0.25 / 90 ** 0.5, rtol=0.05, atol=0, slips=slips)
        first, last = (model.embedding.weight.detach(), model.head.weight.detach())
        require(0.8 < first.std() < 1.2, f"embedding starts with standard deviation {first.std():.2f}; PyTorch's default is 1")
        require(first[0].any(), "the vector of token 0 is zero; keep PyTorch's default and set no padding_idx")
        require(0.05 < last.std() < 0.15, f"head starts with standard deviation {last.std():.2f}; keep PyTorch's default")

@test_case(points=None, hidden=False)
def test_stream_runs_through_all_blocks(env):
    import torch
    from torch.nn.functional import batch_norm, linear
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R3'):
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(29, 2, 4, 8, 10, 5).double()
        inputs, targets = (torch.randint(29, (40, 2)), torch.randint(29, (40,)))
        norm, head, averages = (model.norm_f, model.head, {})

        def watched(index, forward, seen):

            def run(stream, *rest, **named):
                seen[index] = (stream, forward(stream, *rest, **named))
                return seen[index][1]
            return run
        for training in (True, False):
            model.train(training)
            seen = {}
            usual = [block.forward for block in model.blocks]
            for index, block in enumerate(model.blocks):
                block.forward = watched(index, usual[index], seen)
            logits = model(inputs)
            for index, block in enumerate(model.blocks):
                block.forward = usual[index]
            modes = {part.training for part in model.modules()}
            require(modes == {training}, 'a call of forward changed the mode of the network or of one of its parts')
            require(set(seen) == set(range(5)), f'of the blocks 0 to 4, forward called only {sorted(seen)}')
            concatenated = model.embedding.weight[inputs].reshape(40, 8)
            start = linear(concatenated, model.inp.weight, model.inp.bias)
            compare('what block 0 reads', seen[0][0], start, **FLOAT64, slips={'applying tanh after inp': start.tanh()})
            for index in range(1, 5):
                compare(f'what block {index} reads', seen[index][0], seen[index - 1][1], **FLOAT64)
            stream = seen[4][1]
            mean, var = (None, None) if training else (norm.running_mean, norm.running_var)
            last = batch_norm(stream, mean, var, norm.weight, norm.bias, training=training)
            slips = {'leaving out norm_f': linear(stream, head.weight, head.bias), 'applying tanh after norm_f': linear(last.tanh(), head.weight, head.bias)}
            mode = 'training' if training else 'evaluation'
            target = linear(last, head.weight, head.bias)
            compare(f'the logits in {mode} mode', logits, target, **FLOAT64, slips=slips)
            norms = {'norm_f': (norm, stream)}
            norms |= {f'blocks[{i}].norm': (block.norm, seen[i][0]) for i, block in enumerate(model.blocks)}
            for name, (part, read) in norms.items():
                average = read.detach().mean(0) if training else averages[name]
                averages[name] = average
                slips = {'not updating it in training mode': 0 * average, 'calling the norm twice': 0.19 * average}
                what = f"{name}.running_mean after one call in training mode{('' if training else ' and one in evaluation mode')}"
                compare(what, part.running_mean, 0.1 * average, **FLOAT64, slips=slips)
        compare('the logits of one example in evaluation mode', model(inputs[:1]), target[:1], **FLOAT64)
        torch.nn.functional.cross_entropy(model.train()(inputs), targets).backward()
        for name, parameter in model.named_parameters():
            require(parameter.grad is not None, f'no gradient reaches {name}; is something detached?')

