"""Parts of a model that a user picks by name or brings as an object."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from torch import nn

from mmvae._checks import near


class Component(nn.Module):
    """Base of likelihoods, fusions and priors.

    Writing one of your own:

    1. inherit from the family's base class and give it a name: ``class Mine(Prior, name="mine")``;
    2. store every argument of ``__init__`` as an attribute of the same name, from which :meth:`spec` describes the
       object in a saved model, without code;
    3. implement what the family's base class asks for.

    The name can then be used wherever the built-in ones can. A model that uses it can be loaded once the module that
    defines the class has been imported.
    """

    family: ClassVar[str]
    registry: ClassVar[dict[str, type[Component]]]
    name: ClassVar[str]
    renamed: ClassVar[Mapping[str, str]] = {}
    """What classes of version 0.1 define, and its name now, for one more release."""

    def __init_subclass__(cls, *, name: str | None = None, family: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for old in vars(cls).keys() & cls.renamed.keys():
            new = cls.renamed[old]
            warnings.warn(f"{cls.__name__}.{old} is now {new}; the old name goes.", FutureWarning, stacklevel=2)
            setattr(cls, new, vars(cls)[old])
        if family is not None:
            cls.family, cls.registry = family, {}
        if name is not None:
            cls.name = name
            cls.registry[name] = cls

    @classmethod
    def arguments(cls) -> list[str]:
        """Names of the arguments of ``__init__``."""
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def spec(self) -> dict[str, Any]:
        """Plain description of the object: its name and the arguments it was made with."""
        return {"name": self.name} | {name: getattr(self, name) for name in self.arguments()}

    @classmethod
    def named(cls, name: str) -> type[Self]:
        """Class of that name; a ``ValueError`` if no class of this family has it."""
        if name not in cls.registry:
            msg = (
                f"Expected the name of a {cls.family}, one of {sorted(cls.registry)}; got '{name}'.{near(name, cls.registry)} "
                f"A {cls.family} of your own must be imported before it is named."
            )
            raise ValueError(msg)
        return cls.registry[name]  # type: ignore[return-value]

    @classmethod
    def class_of(cls, choice: str | Mapping[str, Any] | Self) -> type[Self]:
        """Class that ``choice``, as for :meth:`build`, names or is of."""
        if isinstance(choice, cls):
            return type(choice)
        settings = cast("Mapping[str, Any]", {"name": choice} if isinstance(choice, str) else choice)
        if not hasattr(settings, "keys") or "name" not in settings:
            msg = (
                f"Expected a {cls.family} as a name, a mapping with 'name', or a {cls.__name__} object; "
                f"got {choice!r}. Names are {sorted(cls.registry)}."
            )
            raise TypeError(msg)
        return cls.named(settings["name"])

    @classmethod
    def build(cls, choice: str | Mapping[str, Any] | Self, **sizes: Any) -> Self:
        """Make the component that ``choice`` names, describes or already is.

        ``choice`` is a name, a mapping with ``"name"`` and arguments (as from :meth:`spec`), or an object, of which a copy
        is returned; anything else is a ``TypeError``. ``sizes`` are what the model knows (numbers of features, latent
        dimensions, batches); each class takes what it asks for. An unknown name or argument is a ``ValueError``, and so
        is an object whose sizes are not the model's.
        """
        if isinstance(choice, cls):
            return cls._copy(choice, sizes)
        kind = cls.class_of(choice)
        settings = cast("Mapping[str, Any]", {} if isinstance(choice, str) else choice)
        given = {key: value for key, value in settings.items() if key != "name"}
        if unknown := sorted(set(given) - set(kind.arguments())):
            msg = f"Expected arguments of {cls.family} '{kind.name}' among {kind.arguments()}; got {unknown}."
            raise ValueError(msg)
        return kind(**given | {key: value for key, value in sizes.items() if key in kind.arguments()})

    @classmethod
    def _copy(cls, given: Self, sizes: Mapping[str, Any]) -> Self:
        for key in set(sizes) & set(given.arguments()):
            if getattr(given, key) != sizes[key]:
                msg = f"Expected a {cls.family} with {key}={sizes[key]}; got {getattr(given, key)}."
                raise ValueError(msg)
        return copy.deepcopy(given)
