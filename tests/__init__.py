"""The tests. A package, so that children find it before another distribution's `tests`, such as verl's."""
