"""Graph fusion: who tells whom what, node by node and edge by edge."""

import math

import pytest
import torch

from plait.fusion.graph import GraphFusion, grid_adjacency, sequence_adjacency
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.types import LANGUAGE, PROPRIO, VISION

ROWS, COLUMNS = FAKE_SPECS[VISION].grid
NUM_PATCHES = 2 * ROWS * COLUMNS
NAMES = list(FAKE_SPECS)


def build(**options):
    torch.manual_seed(0)
    return GraphFusion(FAKE_SPECS, 12, hidden_dim=9, num_heads=3, **options).double().eval()


def double_tokens():
    return {name: part.with_values(part.values.double()) for name, part in fake_tokens().items()}


def place(node):
    """Return view, row and column of a patch."""
    view, rest = divmod(node, ROWS * COLUMNS)
    return view, *divmod(rest, COLUMNS)


def are_joined(receiver, i, sender, j):
    """Say whether the graph has an edge, as the documentation has it."""
    if receiver != sender:
        return True
    if receiver == VISION:
        (view, row, column), (other, a, b) = place(i), place(j)
        return view == other and abs(row - a) <= 1 and abs(column - b) <= 1
    return abs(i - j) <= 1


def slow_layer(layer, nodes, batch_row):
    """Pass one round of messages to each node of a sample, one edge at a time."""
    num_heads = layer.num_heads
    results = {}
    for row, receiver in enumerate(NAMES):
        values = nodes[receiver].values[batch_row]
        out = []
        for i in range(len(values)):
            asked = layer.receive[receiver](layer.norms[receiver](values[i])).view(num_heads, -1)
            logits, messages = [], []
            for column, sender in enumerate(NAMES):
                kind = row * len(NAMES) + column
                for j, source in enumerate(nodes[sender].values[batch_row]):
                    real = bool(nodes[sender].mask[batch_row, j])
                    if not real or not are_joined(receiver, i, sender, j):
                        continue
                    key = layer.send[sender](layer.norms[sender](source)).view(num_heads, -1)
                    # By heads: u_r + W_r k, met with the question.
                    typed = [
                        layer.type_bias[kind, n] + layer.type_matrix[kind, n].T @ key[n]
                        for n in range(num_heads)
                    ]
                    met = [
                        (asked[n] * typed[n]).sum() / math.sqrt(len(key[n]))
                        for n in range(num_heads)
                    ]
                    logits.append(torch.stack(met))
                    messages.append(key)
            share = torch.softmax(torch.stack(logits), dim=0)
            read = (share.unsqueeze(-1) * torch.stack(messages)).sum(0).flatten()
            new = values[i] + layer.out(read)
            out.append(new + layer.mlp(layer.mlp_norm(new)))
        results[receiver] = torch.stack(out)
    return results


@pytest.mark.parametrize("is_training", [True, False])
def test_a_layer_equals_messages_passed_one_edge_at_a_time(is_training):
    fusion, tokens = build(num_layers=1), double_tokens()
    with torch.no_grad():
        for parameter in fusion.parameters():  # so that no edge type is like another
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    nodes = fusion.project(tokens)
    adjacency = {name: fusion._adjacency(name, part) for name, part in nodes.items()}
    fusion.train(is_training)
    with torch.no_grad():
        found, _ = fusion.layers[0](nodes, adjacency)
        batch_row = 1
        expected = slow_layer(fusion.layers[0], nodes, batch_row)
    for name in NAMES:
        mask = nodes[name].mask[batch_row]
        torch.testing.assert_close(found[name].values[batch_row][mask], expected[name][mask])


def test_a_patch_hears_its_neighbours_and_no_farther_patch():
    joined = grid_adjacency(ROWS, COLUMNS, 2)
    for node in range(NUM_PATCHES):
        heard = joined[node].nonzero().flatten().tolist()
        near = [j for j in range(NUM_PATCHES) if are_joined(VISION, node, VISION, j)]
        assert heard == near
        assert len(heard) in (4, 6, 9)


def test_a_word_hears_the_words_beside_it():
    joined = sequence_adjacency(4, torch.device("cpu"))
    heard = [row.nonzero().flatten().tolist() for row in joined]
    assert heard == [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]]


def test_news_travels_one_ring_of_patches_a_layer():
    tokens = double_tokens()
    # Alone, so that nothing can go the short way through a word or a state.
    lonely = {
        name: part if name == VISION else type(part)(part.values, part.mask & False)
        for name, part in tokens.items()
    }
    source = 0
    moved = lonely[VISION].values.clone()
    moved[:, source] += 1
    for num_layers in (1, 2):
        fusion = build(num_layers=num_layers)
        before = fusion(lonely).groups[0].values
        after = fusion({**lonely, VISION: lonely[VISION].with_values(moved)}).groups[0].values
        changed = (before - after).abs().amax(dim=(0, 2))[:NUM_PATCHES] > 1e-12
        for node in range(NUM_PATCHES):
            view, row, column = place(node)
            is_near = view == 0 and max(row, column) <= num_layers
            assert bool(changed[node]) <= is_near
        assert changed[source]
        assert changed.sum() > 1


def test_edge_weights_are_shares_of_what_a_node_receives():
    fused = build()(double_tokens())
    shares = fused.diagnostics["edge_weight"].unflatten(-1, (3, 3))
    present = torch.stack([part.mask.any(dim=1) for part in fake_tokens().values()], dim=1)
    torch.testing.assert_close(shares.sum(-1), present.to(shares.dtype))
    assert fused.diagnostics["attention"].shape[2:] == (2, ROWS, COLUMNS)


@pytest.mark.parametrize("name", [LANGUAGE, PROPRIO])
def test_an_edge_type_that_scores_low_falls_silent(name):
    fusion, tokens = build(num_layers=1), double_tokens()
    kinds = {sender: NAMES.index(VISION) * 3 + NAMES.index(sender) for sender in NAMES}
    with torch.no_grad():
        layer = fusion.layers[0]
        # A question that is the same for every patch, and keys that are the edge type's alone.
        layer.receive[VISION].weight.zero_()
        layer.receive[VISION].bias.fill_(1)
        for sender, kind in kinds.items():
            layer.type_matrix[kind] = 0
            layer.type_bias[kind] = -50.0 if sender == name else 50.0
    shares = fusion(tokens).diagnostics["edge_weight"].unflatten(-1, (3, 3))
    has_vision = tokens[VISION].mask.any(dim=1)
    assert (shares[has_vision, 0, NAMES.index(name)] < 1e-9).all()


def test_training_looks_at_no_weights():
    fusion = build()
    assert not fusion.train()(double_tokens()).diagnostics
