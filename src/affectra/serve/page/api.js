// What is asked of the server over HTTP.

import { SERVER_GONE } from "./words.js";

export class Trouble extends Error {}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Trouble(SERVER_GONE);
  }
  let content;
  try {
    content = await response.json();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Trouble(SERVER_GONE);
  }
  if (!response.ok) throw new Trouble(sentence(content.error));
  return content;
}

export const sentence = (line) => line.charAt(0).toUpperCase() + line.slice(1) + (line.endsWith(".") ? "" : ".");

export const modelFacts = () => ask("/model");

/** Rows as `affectra predict --format json` prints them. */
export function predict(blob, name, timeline, signal) {
  const form = new FormData();
  form.append("file", blob, name);
  return ask(`/predict?timeline=${timeline}`, { method: "POST", body: form, signal });
}
