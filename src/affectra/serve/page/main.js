// The page: what happens when one speaks, chooses a file, plays it back or saves the answers.

import { Trouble, modelFacts, predict } from "./api.js";
import { cardElements } from "./card.js";
import { Live } from "./live.js";
import { Plane } from "./plane.js";
import { asCsv, asJson, save } from "./save.js";
import { Timeline, fillTable, hue, make } from "./timeline.js";
import { clock, explanation, flagText, flagsOf, headline, percent } from "./words.js";

const $ = (id) => document.getElementById(id);
const CALM_MS = 8000; // between two things said to a screen reader while recording
const LATE_S = 3; // answers come a second after what is said, if the server keeps up
const QUIET_DB = -60; // below it a microphone hears nothing

const audio = $("audio");
const timeline = new Timeline($("timeline"), seek);
const plane = new Plane($("plane"));
let model = { name: "", classes: [], limits: {} };
let recording = { name: "", rows: [] };
let live = null; // while recording
let asking = null; // to abort a question about a file

// What is shown.

function trouble(text) {
  $("trouble").textContent = text ?? "";
  $("trouble").hidden = !text;
}

function working(text) {
  $("working-word").textContent = text ?? "";
  $("working").hidden = !text;
}

function speak(text) {
  $("spoken").textContent = text;
}

function begin(name, source, isLive) {
  trouble();
  audio.pause();
  audio.removeAttribute("src");
  recording = { name, rows: [] };
  $("source").textContent = source;
  $("play").hidden = true;
  $("play-hint").textContent = "";
  $("table-box").open = false;
  $("moment").textContent = "";
  $("plane-card").hidden = true;
  timeline.reset(model.classes, isLive);
}

function answer(row) {
  const flags = flagsOf(row);
  $("answer-word").textContent = headline(row);
  $("answer-word").dataset.emotion = row.emotion;
  $("answer-more").textContent = explanation(row);
  $("flags").replaceChildren(...flags.map((flag) => make("li", {}, flagText(flag))));
  bars(row);
}

function bars(row) {
  if (!$("bars").children.length) {
    const entry = (name, i) => {
      const track = make("span", { class: "bar-track", "aria-hidden": "true" }, make("span"));
      track.style.setProperty("--hue", hue(name, i));
      return make("div", {}, make("dt", {}, name), make("dd", {}, track), make("dd"));
    };
    $("bars").replaceChildren(...model.classes.map(entry));
  }
  model.classes.forEach((name, i) => {
    const [, track, value] = $("bars").children[i].children;
    track.firstElementChild.firstElementChild.style.width = `${100 * row[`score_${name}`]}%`;
    value.textContent = percent(row[`score_${name}`]);
  });
}

function addRows(rows) {
  recording.rows.push(...rows);
  $("result").hidden = false;
  timeline.add(rows);
  showPlane(recording.rows.length);
}

function showPlane(n) {
  const has = recording.rows.some((row) => row.arousal !== null && row.valence !== null);
  $("plane-card").hidden = !has;
  if (has) plane.show(recording.rows.slice(0, n));
}

// A file, or what was recorded.

async function hear(blob, name) {
  if (live) return void trouble("Stop the recording first.");
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  $("result").hidden = true;
  trouble();
  const most = model.limits.upload_bytes;
  if (blob.size > most) {
    trouble(`That file has ${Math.ceil(blob.size / 2 ** 20)} MB; the server takes up to ${Math.floor(most / 2 ** 20)} MB. Send a shorter or compressed one.`);
    return;
  }
  begin(name, name, false);
  working(`Listening to ${name} …`);
  speak(`Listening to ${name}.`);
  try {
    const [[whole], rows] = await Promise.all([predict(blob, name, false, signal), predict(blob, name, true, signal)]);
    $("source").textContent = `${name}, ${clock(whole.end)}`;
    answer(whole);
    addRows(rows);
    load(blob);
    speak(said(whole));
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Trouble)) throw error;
    trouble(error.message);
  }
  working();
}

const said = (row) => [`${headline(row)}. ${explanation(row)}`, ...flagsOf(row).map(flagText)].join(" ");

// The microphone.

async function record() {
  if (live) {
    working("Waiting for the last answers …");
    live.stop();
    return;
  }
  asking?.abort();
  working();
  trouble();
  $("record").disabled = true;
  const heard = { seconds: 0, loudest: 0, spokenAt: 0, emotion: "" };
  const session = new Live({
    row: (row) => hearLive(row, heard),
    level: (rms) => showLevel(rms, heard, session.seconds),
    end: (why) => finish(session, why),
  });
  try {
    await session.start();
    live = session;
    begin("microphone.wav", "Microphone", true);
    $("result").hidden = true;
    $("record-word").textContent = "Stop";
    $("record").classList.add("on");
    $("record-hint").textContent = "Listening …";
    $("level").hidden = false;
    speak("Recording. The first answer comes after a second.");
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    trouble(error.message);
  } finally {
    $("record").disabled = false;
  }
}

function hearLive(row, heard) {
  answer(row);
  addRows([row]);
  heard.seconds = row.end;
  $("source").textContent = `Microphone, ${clock(row.end)}`;
  if (row.emotion !== heard.emotion && performance.now() - heard.spokenAt > CALM_MS) {
    heard.emotion = row.emotion;
    heard.spokenAt = performance.now();
    speak(headline(row));
  }
}

function showLevel(rms, heard, seconds) {
  const db = 20 * Math.log10(Math.max(rms, 1e-6));
  const share = Math.round(Math.max(0, Math.min(100, (100 * (db + 60)) / 54)));
  $("level").firstElementChild.style.transform = `scaleX(${share / 100})`;
  $("level").setAttribute("aria-valuenow", share);
  heard.loudest = Math.max(heard.loudest, db > QUIET_DB ? 1 : 0);
  const behind = Math.floor(seconds - heard.seconds);
  if (!heard.loudest && seconds >= 3) $("record-hint").textContent = "I hear nothing. Is the microphone muted?";
  else $("record-hint").textContent = behind > LATE_S ? `Busy: the answers are ${behind} s behind.` : "Listening …";
}

async function finish(session, why) {
  if (live !== session) return;
  live = null;
  working();
  $("record-word").textContent = "Record";
  $("record").classList.remove("on");
  $("record-hint").textContent = "Speak into the microphone.";
  $("level").hidden = true;
  trouble(why);
  if (!recording.rows.length) {
    if (!why) trouble("Nothing was recorded; speak for a second at least.");
    return;
  }
  timeline.settle();
  const blob = session.wav();
  load(blob);
  if (why || blob.size > model.limits.upload_bytes) return;
  working("Listening to all of it …");
  try {
    const [whole] = await predict(blob, recording.name, false);
    $("source").textContent = `Your recording, ${clock(whole.end)}`;
    answer(whole);
    speak(said(whole));
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    trouble(error.message);
  }
  working();
}

// Playing back.

function load(blob) {
  URL.revokeObjectURL(audio.dataset.url);
  audio.dataset.url = URL.createObjectURL(blob);
  audio.src = audio.dataset.url;
  $("play").hidden = false;
  timeline.show(0);
  follow(0);
}

function seek(seconds) {
  if (audio.src) audio.currentTime = seconds;
  follow(seconds);
}

function follow(seconds) {
  const row = timeline.at(seconds);
  if (!row) return;
  $("moment").textContent = `${clock(seconds)} / ${clock(timeline.end)}`;
  showPlane(recording.rows.indexOf(row) + 1);
}

function step() {
  if (audio.paused) return;
  timeline.show(Math.min(audio.currentTime, timeline.end));
  follow(audio.currentTime);
  requestAnimationFrame(step);
}

audio.onplay = () => {
  $("play").textContent = "Pause";
  step();
};
audio.onpause = audio.onended = () => ($("play").textContent = "Play");
audio.onerror = () => {
  if (!audio.getAttribute("src")) return;
  $("play").hidden = true;
  $("play-hint").textContent = "This browser cannot play this kind of file.";
};
$("play").onclick = () => (audio.paused ? audio.play() : audio.pause());

// Buttons, and files dropped anywhere.

$("record").onclick = record;
$("file").onchange = ({ target }) => {
  if (target.files.length) hear(target.files[0], target.files[0].name);
  target.value = "";
};
$("table-box").ontoggle = () => $("table-box").open && fillTable($("table"), recording.rows);
const stem = () => recording.name.replace(/\.[^.]*$/, "");
$("save-json").onclick = () => save(`${stem()}-emotion.json`, "application/json", asJson(named()));
$("save-csv").onclick = () => save(`${stem()}-emotion.csv`, "text/csv", asCsv(named()));
const named = () => recording.rows.map((row) => ({ file: recording.name, ...row }));

const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
window.addEventListener("dragover", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  document.body.classList.toggle("dropping", !live);
});
window.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
window.addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (file) hear(file, file.name);
});

// What the model is.

function describe() {
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  $("privacy").textContent = local
    ? "What you say stays on this machine: this page talks only to the program that serves it, which keeps no recording."
    : `What you say goes to ${location.host} and nowhere else; the program there keeps no recording.`;
  const licence = model.licence ? ` Licence of the model: ${model.licence.replaceAll(" ", "\u00a0")}.` : "";
  const synthetic = model.synthetic ? " It learnt from synthetic speech: a demonstration, nothing to rely on." : "";
  $("model-facts").textContent = `Model: ${model.name}, which knows ${model.classes.join(", ")}.${licence}${synthetic}`;
  if (model.card) {
    $("card").replaceChildren(...cardElements(model.card));
    $("card-box").hidden = false;
  }
}

try {
  model = await modelFacts();
  describe();
} catch (error) {
  if (!(error instanceof Trouble)) throw error;
  trouble(error.message);
}
document.body.dataset.ready = "yes";
