// What the daemon is asked, and what it tells as it happens.

const AGAIN_MS = 2000;
let token = sessionStorage.getItem("streamlnn-token") || "";
let reading = null; // of the newest connection
let place = null; // up to which events have been heard

export class Refused extends Error {}

export function remember(given) {
  token = given;
  sessionStorage.setItem("streamlnn-token", given);
}

export const knows = () => token !== "";

async function ask(path, { headers, ...options } = {}) {
  const own = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(`api/v1/${path}`, { ...options, headers: { ...own, ...headers }, cache: "no-store" });
  if (answer.status === 401) throw new Refused("a token is asked for");
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

const get = async (path) => (await ask(path)).json();

export const ofStream = (id, what = "") => get(`streams/${encodeURIComponent(id)}${what}`);

// Calls `told(kind, data)` for all that happens until it is called again, `connected()` when it
// hears and `lost(error)` when it cannot. EventSource cannot send a token: frames are cut out of a
// plain answer. Such an answer ends by itself after some seconds, and the next one is asked for.
export async function listen(stream, { told, connected, lost }) {
  reading?.abort();
  const own = (reading = new AbortController());
  const query = stream === null ? "" : `?stream=${encodeURIComponent(stream)}`;
  for (let heard = true; own === reading; ) {
    if (!heard) await new Promise((done) => setTimeout(done, AGAIN_MS));
    if (own !== reading) return;
    const again = heard;
    heard = false;
    try {
      const headers = place === null ? {} : { "Last-Event-ID": place };
      const answer = await ask(`live${query}`, { signal: own.signal, headers });
      heard = true;
      connected();
      await frames(answer.body, told);
    } catch (error) {
      if (own.signal.aborted) return;
      if (!heard && !again) lost(error);
      if (error instanceof Refused) return void lost(error);
    }
  }
}

async function frames(body, told) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    parts.forEach((part) => frame(part, told));
  }
}

function frame(part, told) {
  const { id, event, data } = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/, 2)));
  place = id ?? place;
  if (event) told(event, JSON.parse(data));
}
