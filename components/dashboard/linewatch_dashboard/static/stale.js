// Whether the picture may pass for live, and the words if not. Pure: everything comes in by arguments.

/** Whole seconds below two minutes, then minutes, hours, days. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/**
 * The words that go over a picture that is not live, or "" when it is.
 *
 * `connection`: "" or words; `state`: the last state message or null; `shownAgeMs`: age of the inspection on the screen or null;
 * `newestAgeMs`: age of the line's newest verdict or null; `behind`: the line is at a later inspection than the screen.
 */
export function staleWords({ connection, state, shownAgeMs, newestAgeMs, behind }) {
  if (connection) {
    return shownAgeMs === null ? connection : `${connection} · picture from ${duration(shownAgeMs)} ago`;
  }
  if (!state || shownAgeMs === null) {
    return "";
  }
  const old = shownAgeMs > state.stale_after_ms;
  const cause = causeOf(state);
  if (cause && (old || cause.atOnce)) {
    return `${cause.words} · no new part for ${duration(newestAgeMs ?? shownAgeMs)}`;
  }
  if (old && behind) {
    return `picture is ${duration(shownAgeMs)} behind the line`;
  }
  return old ? `no new part for ${duration(newestAgeMs ?? shownAgeMs)}` : "";
}

function causeOf(state) {
  const light = (key) => state.health.find((item) => item.key === key)?.state;
  for (const [key, title] of [["camera", "camera"], ["inspector", "inspector"]]) {
    if (light(key) === "silent") return { words: `${title} silent`, atOnce: true };
    if (light(key) === "stopping") return { words: `${title} stopped`, atOnce: true };
  }
  if (state.alerts.some((alert) => alert.kind === "camera_silent")) return { words: "camera silent", atOnce: true };
  if (state.paused) return { words: "camera paused", atOnce: true };
  if (state.ended) return { words: "end of the camera's source", atOnce: false };
  if (light("camera") === "absent") return { words: "no camera heard", atOnce: false };
  return null;
}
