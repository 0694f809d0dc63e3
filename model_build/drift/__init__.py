"""Whether a model still sees what it saw in its first weeks: days folded from health reports, and a judgement."""
