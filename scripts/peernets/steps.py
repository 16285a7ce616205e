"""Training steps: restoration and DCPT pre-training."""

import torch
import torch.nn.functional as F


def focal_loss(logits, labels, gamma):
    """Mean of (1 - p)^gamma * (-log p) of the labels' probabilities p."""
    log_p = F.log_softmax(logits, 1).gather(1, labels[:, None])
    return ((1 - log_p.exp()) ** gamma * -log_p).mean()


class Restore:
    """One step of plain restoration: L1 loss of net(lq) against gt, AdamW."""

    def __init__(self, net, adamw):
        self.net = net
        self.optimizer = torch.optim.AdamW(net.parameters(), fused=True, **adamw)

    def __call__(self, lq, gt, labels):
        """Returns the loss before the step; labels are not used."""
        self.optimizer.zero_grad()
        loss = F.l1_loss(self.net(lq), gt)
        loss.backward()
        self.optimizer.step()
        return (loss.item(),)


class Dcpt:
    """One step of DCPT pre-training.

    net reproduces the clean image from itself (L1) and the classifier names the degradation of lq from
    the decoder's features (focal loss); one backward pass, two optimisers.
    """

    def __init__(self, net, classifier, adamw, classifier_adamw, gamma):
        self.net, self.classifier, self.gamma = net, classifier, gamma
        self.optimizers = [
            torch.optim.AdamW(net.parameters(), fused=True, **adamw),
            torch.optim.AdamW(classifier.parameters(), fused=True, **classifier_adamw),
        ]

    def __call__(self, lq, gt, labels):
        """Returns the pixel and the classification loss before the step."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        pixel = F.l1_loss(self.net(gt), gt)
        classify = focal_loss(self.classifier(self.net.features(lq)), labels, self.gamma)
        (pixel + classify).backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return pixel.item(), classify.item()
