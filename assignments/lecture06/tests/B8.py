from otter.test_files import test_case

OK_FORMAT = False

name = "B8"
points = 4

@test_case(points=None, hidden=False)
def test_same_loss_at_any_batch_size(env):
    import torch
    from src.checks import answer, checking, compare, require
    with checking('B8'):
        evaluate = answer(env, 'B8', 'evaluate')
        draw = torch.Generator().manual_seed(10)
        table = torch.randn(27, 27, generator=draw)

        class Stub(torch.nn.Module):
            """Its logits depend on the last character only; in training mode they are wrong."""

            def __init__(self):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))

            def forward(self, x):
                return table.to(x.device)[x[:, -1]] * (3.0 if self.training else 1.0)
        inputs = torch.randint(27, (103, 3), generator=draw)
        targets = torch.randint(27, (103,), generator=draw)
        logs = table.log_softmax(1)
        target = -sum((logs[i, t].item() for i, t in zip(inputs[:, -1].tolist(), targets.tolist(), strict=True))) / 103
        model = Stub()
        for batch_size in (103, 1024, 25, 1):
            for training in (True, False):
                model.train(training)
                loss = evaluate(model, inputs, targets, batch_size)
                require(isinstance(loss, float), f'the result has type {type(loss).__name__}; it should be a Python float')
                compare(f'the loss of 103 examples at batch size {batch_size}', loss, target, rtol=1e-05, atol=1e-05)
                require(model.training == training, f'the model had training={training} before and has training={model.training} now; restore what it was')

        class Fault(Exception):
            pass

        class Failing(Stub):
            """Something goes wrong in the middle of the examples."""

            def forward(self, x):
                raise Fault
        model, went_on = (Failing(), False)
        try:
            evaluate(model, inputs, targets, 25)
        except Fault:
            went_on = True
        require(went_on, 'an exception raised by the model was swallowed; let it propagate to the caller')
        require(model.training, 'after an exception in the model, its mode is not restored; use try: ... finally: ...')

