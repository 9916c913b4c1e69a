// What the page says: answers, doubts and faults in plain language.

const SOUNDS = {
  anger: "angry", happiness: "happy", sadness: "sad", fear: "fearful", disgust: "disgusted", surprise: "surprised",
  boredom: "bored", excitement: "excited", frustration: "frustrated", amusement: "amused", sleepiness: "sleepy",
};

const FLAGS = {
  too_short: "Under half a second: hardly a syllable to judge by.",
  silent: "There is no sound in it.",
  clipped: "Recorded too loud, so its peaks are cut off. That can pass for anger.",
  truncated: "The file breaks off; what is there was heard.",
  no_speech: "No speech was found.",
  out_of_domain: "This is unlike anything the model learnt from; do not rely on the answer.",
};

export const percent = (p) => `${Math.round(100 * p)}\u00a0%`;

export const classesOf = (row) => Object.keys(row).filter((key) => key.startsWith("score_")).map((key) => key.slice(6));

export const soundsLike = (emotion) => SOUNDS[emotion] ?? emotion;

export function headline(row) {
  return row.emotion === "unknown" ? "Cannot tell" : `Sounds ${soundsLike(row.emotion)}`;
}

export function explanation(row) {
  const ranked = classesOf(row).sort((a, b) => row[`score_${b}`] - row[`score_${a}`]);
  const shown = ranked.slice(0, 2).map((name) => `${soundsLike(name)} ${percent(row[`score_${name}`])}`);
  if (row.emotion === "unknown") return `The model would rather not say. Nearest: ${shown.join(", ")}.`;
  const second = shown.length > 1 ? ` Next: ${shown[1]}.` : "";
  return `${sureness(row.confidence)}, ${percent(row.confidence)}.${second}`;
}

function sureness(p) {
  if (p >= 0.85) return "Quite sure";
  if (p >= 0.65) return "Fairly sure";
  return p >= 0.45 ? "Not very sure" : "Little more than a guess";
}

export const flagsOf = (row) => row.flags.split(";").filter(Boolean);

export const flagText = (flag) => FLAGS[flag] ?? flag.replaceAll("_", " ");

export function clock(seconds) {
  const whole = Math.floor(seconds + 1e-6);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function microphoneTrouble(error) {
  if (!window.isSecureContext) {
    return "Browsers give the microphone only to pages on localhost or behind https. Open this page on the machine that serves it, or choose a file.";
  }
  return {
    NotAllowedError: "The microphone was not allowed. Allow it in the browser's site settings (the symbol beside the address) and try again.",
    NotFoundError: "No microphone was found. Plug one in, or choose a file.",
    NotReadableError: "The microphone cannot be opened; another program may be using it.",
  }[error.name] ?? `The microphone cannot be used: ${error.message}`;
}

export const SERVER_GONE = "The server does not answer. Is “affectra serve” still running?";
