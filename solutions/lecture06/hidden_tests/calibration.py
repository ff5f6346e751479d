"""What `autograder calibrate` measures: each loss test, with the wrong answers that it must tell from the right one."""

from autograder.testing import LossTest

from . import test_batchnorm_network, test_residual_training
from .inputs import names
from .test_batchnorm_network import B6_LIMIT, B6_RATE, B7_MARGIN, B7_RATE
from .test_residual_training import R9_MARGIN

TRAINING_PROBES = ("trained_logits", "trained_network", "training_steps", "bigram_losses")
"""The probes that train: what `autograder bench` takes for the student's own training steps."""

WITHOUT_NORM = """
h = torch.tanh(self.C[x].flatten(1) @ self.W1 + self.b1)
return h @ self.W2 + self.b2
"""

REDRAWN_WEIGHT = """
def __init__(self, vocab_size, context_size, d_embed, d_hidden, batch_norm=False):
    super().__init__()
    self.C = nn.Parameter(torch.randn(vocab_size, d_embed))
    self.W1 = nn.Parameter(kaiming_(torch.empty(context_size * d_embed, d_hidden)))
    self.W3 = nn.Parameter(kaiming_(torch.empty(d_hidden, vocab_size), gain=1.0))
    self.b3 = nn.Parameter(torch.zeros(vocab_size))
    self.bn1, self.bn2 = BatchNorm1d(d_hidden), BatchNorm1d(d_hidden)

def forward(self, x):
    h = torch.tanh(self.bn1(self.C[x].flatten(1) @ self.W1))
    redrawn = kaiming_(torch.empty(h.shape[1], h.shape[1]))
    return torch.tanh(self.bn2(h @ redrawn)) @ self.W3 + self.b3
"""

PLAIN_NETWORK = """
def __init__(self, vocab_size, context_size, d_embed, d_model, d_ff, n_layers):
    super().__init__()
    self.plain = PlainMLP(vocab_size, context_size, d_embed, d_model, n_layers)

def forward(self, inputs):
    return self.plain(inputs)
"""

SUMMED_LOSS = """
optimizer = torch.optim.SGD(model.parameters(), lr=lr)
model.train()
losses = []
for _ in range(steps):
    rows = torch.randint(len(inputs), (batch_size,), generator=generator)
    loss = F.cross_entropy(model(inputs[rows]), targets[rows], reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
return losses
"""

LOSS_TESTS = (
    LossTest(
        question="B6",
        test="trains_at_a_large_learning_rate",
        loss=lambda observe, seed: test_batchnorm_network.trained_loss(observe, "MLPv2", {}, B6_RATE, seed),
        limit=lambda: B6_LIMIT,
        wrong={"without the norm": {"B6": WITHOUT_NORM}},
    ),
    LossTest(
        question="B7",
        test="learns_more_than_letter_frequencies",
        loss=lambda observe, seed: test_batchnorm_network.trained_loss(
            observe, "MLPv3", {"batch_norm": True}, B7_RATE, seed
        ),
        limit=lambda: names().unigram - B7_MARGIN,
        wrong={"W2 drawn again in forward": {"B7": REDRAWN_WEIGHT}},
    ),
    LossTest(
        question="R9",
        test="a_deep_network_learns",
        loss=test_residual_training.trained_loss,
        curve=test_residual_training.mean_losses,
        limit=lambda: names().unigram - R9_MARGIN,
        wrong={
            "a plain network": {"R3": PLAIN_NETWORK},
            "the loss summed over the batch": {"R9": SUMMED_LOSS},
        },
    ),
)
