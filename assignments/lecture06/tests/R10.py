from otter.test_files import test_case

OK_FORMAT = False

name = "R10"
points = 4

@test_case(points=None, hidden=False)
def test_names_of_a_known_chain(env):
    import torch
    from src.checks import answer, checking, require
    modes = set()

    class Chain(torch.nn.Module):

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.tables = 2 * torch.randn(3, 27, 27)

        def forward(self, contexts):
            modes.add(self.training)
            tables = self.tables.to(contexts.device)
            return sum((tables[place][contexts[:, place]] for place in range(3)))
    with checking('R10'):
        generate_batch = answer(env, 'R10', 'generate_batch')
        model = Chain()
        before = torch.get_rng_state()
        yours = generate_batch(model, 6, torch.Generator().manual_seed(3), max_len=12)
        same = torch.equal(torch.get_rng_state(), before)
        require(same, 'the call changed the global random state; draw with generator=generator')
        require(modes == {False}, 'the model was not in evaluation mode when it was called')
        require(model.training, 'the model was in training mode before the call and is not now')
        require(isinstance(yours, list) and len(yours) == 6, 'generate_batch should return a list of n names')
        draws = torch.Generator().manual_seed(3)
        numbers = torch.stack([torch.rand(6, generator=draws) for _ in range(12)])
        for row in range(6):
            letters, history = ('', [0, 0, 0])
            for step in range(12):
                shares = model(torch.tensor([history[-3:]])).softmax(1)
                token = min(int(torch.searchsorted(shares.cumsum(1)[0], numbers[step, row], right=True)), 26)
                if token == 0:
                    break
                letters += chr(96 + token)
                history.append(token)
            require(yours[row] == letters, f'row {row} is {yours[row]!r}; the target for its numbers is {letters!r}')

