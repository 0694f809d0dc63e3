// The outcomes: their words and signs, in one place. The colours are in page.css, by [data-outcome].

export const OUTCOMES = ["pass", "fail", "review", "late", "missed", "error"];

/** A known outcome, or "error" for one that this page does not know. */
export const known = (outcome) => (OUTCOMES.includes(outcome) ? outcome : "error");

const QUALIFIERS = {
  pass: "",
  fail: "",
  review: "a person decides",
  late: "judged too late",
  missed: "nobody could judge it",
  error: "no usable picture",
};

/** What stands below the word. */
export function qualifierOf(verdict) {
  if (verdict.outcome === "late" && verdict.judged) {
    return `too late · would be ${verdict.judged.toUpperCase()}`;
  }
  return QUALIFIERS[known(verdict.outcome)];
}
