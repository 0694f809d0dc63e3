// The outcomes: their words and signs, in one place. The colours are in page.css, by [data-outcome].

export const OUTCOMES = ["pass", "fail", "review", "late", "missed", "error"];

/** A known outcome, or "error" for one that this page does not know. */
export const known = (outcome) => (OUTCOMES.includes(outcome) ? outcome : "error");

const QUALIFIERS = {
  pass: "",
  review: "a person decides",
  late: "judged too late",
  missed: "not judged in time",
  error: "no usable picture",
};

/** What stands below the word. */
export function qualifierOf(verdict) {
  if (verdict.outcome === "late" && verdict.judged) {
    return `too late · would be ${verdict.judged.toUpperCase()}`;
  }
  if (verdict.outcome === "fail") {
    return defectWords(verdict);
  }
  return QUALIFIERS[known(verdict.outcome)];
}

/** The first defect's class and how many there are: "scratch", "scratch + 2". */
function defectWords({ defects, defects_total: total }) {
  if (!defects.length) {
    return "";
  }
  const more = Math.max(total, defects.length) - 1;
  return defects[0].class + (more > 0 ? ` + ${more}` : "");
}
