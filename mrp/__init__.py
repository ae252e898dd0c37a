"""Multilevel regression and poststratification: an estimate is a plan applied to every draw."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
