from otter.test_files import test_case

OK_FORMAT = False

name = "B7"
points = 5

@test_case(points=None, hidden=False)
def test_parameters_of_mlpv3(env):
    from src.checks import answer, checking, require
    with checking('B7'):
        MLPv3 = answer(env, 'B7', 'MLPv3')
        shapes = {'C': (27, 4), 'W1': (12, 64), 'W2': (64, 64), 'W3': (64, 27), 'b3': (27,)}
        for batch_norm, more in ((False, ('b1', 'b2')), (True, ('bn1.gamma', 'bn1.beta', 'bn2.gamma', 'bn2.beta'))):
            model = MLPv3(27, 3, 4, 64, batch_norm=batch_norm)
            found = dict(model.named_parameters())
            wanted = set(shapes) | set(more)
            label = f'with batch_norm={batch_norm}'
            require(not wanted - set(found), f'{label}, these parameters are missing: {sorted(wanted - set(found))}')
            require(not set(found) - wanted, f'{label}, these parameters should not exist: {sorted(set(found) - wanted)}')
            for name, shape in shapes.items():
                got = tuple(found[name].shape)
                require(got in (shape, (1, *shape)), f'{label}, {name} has shape {got}; it should have shape {shape}')
        for name, deviation in (('W2', 5 / 3 / 8), ('W3', 1 / 8)):
            std = found[name].std().item()
            require(abs(std / deviation - 1) < 0.15, f'{name} starts with a standard deviation of {std:.3f}; with kaiming_ and the right gain it should be about {deviation:.3f}')

@test_case(points=None, hidden=False)
def test_logits_of_mlpv3(env):
    import torch
    import torch.nn.functional as F
    from src.checks import answer, checking, compare, require
    with checking('B7'):
        draw = torch.Generator().manual_seed(9)
        layers = {'bn1.gamma', 'bn1.beta', 'bn2.gamma', 'bn2.beta'}
        for batch_norm in (False, True):
            model = answer(env, 'B7', 'MLPv3')(27, 3, 4, 6, batch_norm=batch_norm)
            weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
            wanted = {'C', 'W1', 'W2', 'W3', 'b3'} | (layers if batch_norm else {'b1', 'b2'})
            missing = sorted(wanted - set(weights))
            require(not missing, f'with batch_norm={batch_norm} these parameters are missing: {missing}')
            for value in weights.values():
                value.copy_(torch.randn(value.shape, generator=draw))
            x = torch.randint(27, (40, 3), generator=draw)
            hidden = F.embedding(x, weights['C']).flatten(1)
            for layer in (1, 2):
                hidden = F.linear(hidden, weights[f'W{layer}'].T, None if batch_norm else weights[f'b{layer}'])
                if batch_norm:
                    gamma, beta = (weights[f'bn{layer}.gamma'].flatten(), weights[f'bn{layer}.beta'].flatten())
                    hidden = F.batch_norm(hidden, None, None, gamma, beta, training=True)
                hidden = hidden.tanh()
            target = F.linear(hidden, weights['W3'].T, weights['b3'])
            compare(f'the logits with batch_norm={batch_norm}', model(x), target)

