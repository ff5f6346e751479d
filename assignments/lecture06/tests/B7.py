from otter.test_files import test_case

OK_FORMAT = False

name = "B7"
points = 5

@test_case(points=None, hidden=False)
def test_parameters_of_mlpv3(env):
    from src.checks import answer, checking, parameters_of, require
    with checking('B7'):
        MLPv3 = answer(env, 'B7', 'MLPv3')
        shapes = {'C': (30, 5), 'W1': (20, 64), 'W2': (64, 64), 'W3': (64, 30), 'b3': (30,)}
        plain, normalised = (('b1', 'b2'), ('bn1.gamma', 'bn1.beta', 'bn2.gamma', 'bn2.beta'))
        for options, more in (({}, plain), ({'batch_norm': False}, plain), ({'batch_norm': True}, normalised)):
            model = MLPv3(30, 4, 5, 64, **options)
            wanted = set(shapes) | set(more)
            found = parameters_of(model, wanted)
            label = f"with batch_norm={options['batch_norm']}" if options else 'without the argument batch_norm'
            require(not wanted - set(found), f'{label}, these parameters are missing: {sorted(wanted - set(found))}')
            require(not set(found) - wanted, f'{label}, these parameters should not exist: {sorted(set(found) - wanted)}')
            for name, shape in shapes.items():
                got = tuple(found[name].shape)
                require(got in (shape, (1, *shape)), f'{label}, {name} has shape {got}; it should have shape {shape}')
            for name in sorted({'b1', 'b2', 'b3'} & set(found)):
                require(not found[name].any(), f'{label}, {name} does not start at zero')
            for name, parameter in found.items():
                require(parameter.requires_grad, f'{label}, {name} does not require gradients, so it cannot learn')
        for name, deviation in (('C', 1), ('W1', 5 / 3 / 20 ** 0.5), ('W2', 5 / 3 / 8), ('W3', 1 / 8)):
            std = found[name].std().item()
            require(abs(std / deviation - 1) < 0.2, f"{name} starts with a standard deviation of {std:.3f}; {('a standard normal start has 1' if name == 'C' else f'with kaiming_ and the right gain it is {deviation:.3f}')}")
        for name in ('bn1', 'bn2'):
            layer = getattr(model, name)
            require((layer.eps, layer.momentum) == (1e-05, 0.1), f'{name} has eps {layer.eps} and momentum {layer.momentum}; use the defaults of BatchNorm1d')

@test_case(points=None, hidden=False)
def test_logits_of_mlpv3(env):
    import torch
    import torch.nn.functional as F
    from src.checks import answer, checking, compare, parameters_of, require
    with checking('B7'):
        draw = torch.Generator().manual_seed(9)
        layers = {'bn1.gamma', 'bn1.beta', 'bn2.gamma', 'bn2.beta'}
        for batch_norm in (False, True):
            model = answer(env, 'B7', 'MLPv3')(30, 4, 5, 6, batch_norm=batch_norm)
            wanted = {'C', 'W1', 'W2', 'W3', 'b3'} | (layers if batch_norm else {'b1', 'b2'})
            weights = {name: parameter.detach() for name, parameter in parameters_of(model, wanted).items()}
            missing = sorted(wanted - set(weights))
            require(not missing, f'with batch_norm={batch_norm} these parameters are missing: {missing}')
            for value in weights.values():
                value.copy_(torch.randn(value.shape, generator=draw))
            x = torch.randint(30, (40, 4), generator=draw)

            def logits(norms=(1, 2), after_tanh=False, x=x, weights=weights, batch_norm=batch_norm):
                hidden = F.embedding(x, weights['C']).flatten(1)
                for layer, norm in zip((1, 2), norms, strict=True):
                    hidden = F.linear(hidden, weights[f'W{layer}'].T, None if batch_norm else weights[f'b{layer}'])
                    hidden = hidden.tanh() if after_tanh or not norm else hidden
                    if batch_norm and norm:
                        gamma, beta = (weights[f'bn{norm}.gamma'].flatten(), weights[f'bn{norm}.beta'].flatten())
                        hidden = F.batch_norm(hidden, None, None, gamma, beta, training=True)
                    hidden = hidden if after_tanh or not norm else hidden.tanh()
                return F.linear(hidden, weights['W3'].T, weights['b3'])
            slips = {}
            if batch_norm:
                slips = {'using bn1 in both layers': logits((1, 1)), 'swapping bn1 and bn2': logits((2, 1)), 'normalising after the tanh': logits(after_tanh=True), 'not normalising the first layer': logits((0, 2)), 'not normalising the second layer': logits((1, 0)), 'not normalising': logits((0, 0))}
            yours = model(x)
            compare(f'the logits with batch_norm={batch_norm}', yours, logits(), slips=slips)
            modes = {part.training for part in model.modules()}
            require(modes == {True}, f'with batch_norm={batch_norm}, a call of forward changed the mode of a layer')
            F.cross_entropy(yours, x[:, 0]).backward()
            for name, parameter in model.named_parameters():
                require(parameter.grad is not None, f'no gradient reaches {name}; is something detached?')
            rows = model.eval()(x)
            compare(f'the logits of one example with batch_norm={batch_norm}, in evaluation mode', model(x[:1]), rows[:1])
            flipped, slips = (model(x.flip(0)), {'returning the logits of an earlier call': rows})
            compare(f'the logits of other contexts with batch_norm={batch_norm}', flipped, rows.flip(0), slips=slips)

