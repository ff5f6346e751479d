from otter.test_files import test_case

OK_FORMAT = False

name = "B6"
points = 5

@test_case(points=None, hidden=False)
def test_logits_of_mlpv2(env):
    import torch
    import torch.nn.functional as F
    from src.checks import answer, checking, compare, require
    with checking('B6'):
        draw = torch.Generator().manual_seed(8)
        model = answer(env, 'B6', 'MLPv2')(27, 3, 4, 6)
        weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        for value in weights.values():
            value.copy_(torch.randn(value.shape, generator=draw))
        x = torch.randint(27, (40, 3), generator=draw)
        pre = F.linear(F.embedding(x, weights['C']).flatten(1), weights['W1'].T, weights['b1'])

        def target(normalised):
            return F.linear(normalised.tanh(), weights['W2'].T, weights['b2'])
        gamma, beta = (weights['bn.gamma'].flatten(), weights['bn.beta'].flatten())
        logits = model(x)
        require(isinstance(logits, torch.Tensor), 'forward did not return a tensor; did you write `return`?')
        require(not torch.allclose(logits.detach(), F.linear(pre.tanh(), weights['W2'].T, weights['b2']), atol=0.0001), 'these are the logits without normalization; self.bn is not used')
        in_training = F.batch_norm(pre, None, None, gamma, beta, training=True)
        compare('the logits in training mode', logits, target(in_training))
        model.eval()
        mean, var = (model.bn.running_mean.flatten(), model.bn.running_var.flatten())
        in_evaluation = F.batch_norm(pre, mean, var, gamma, beta, training=False)
        compare('the logits in evaluation mode', model(x), target(in_evaluation))

