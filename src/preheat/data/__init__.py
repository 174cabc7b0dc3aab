"""The data of a task for a training loop of your own: `loaders(task, ...)` gives torch DataLoaders."""

from preheat.data.loading import Loaders, loaders

__all__ = ["Loaders", "loaders"]
