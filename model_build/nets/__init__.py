"""The nets that can be trained, and what each of them must be able to do. `interface` is free of any framework."""
