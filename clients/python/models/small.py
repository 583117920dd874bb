"""Small models in plain PyTorch that no library contains."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def mlp() -> nn.Module:
    return nn.Sequential(
        OrderedDict(fc1=nn.Linear(784, 256), act1=nn.ReLU(), fc2=nn.Linear(256, 128), act2=nn.ReLU(), fc3=nn.Linear(128, 10))
    )


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)


def lenet5() -> nn.Module:
    return LeNet5()


class LSTMTagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10000, 128, padding_idx=0)
        self.lstm = nn.LSTM(128, 256, num_layers=2, bidirectional=True, batch_first=True, dropout=0.2)
        self.tag = nn.Linear(512, 17)


def lstm_tagger() -> nn.Module:
    return LSTMTagger()
