// Reads a channel by server-sent events: an event a line. Ends where the server says that to ask again makes no sense.
const [address = "http://127.0.0.1:8780/v1/sse/events"] = process.argv.slice(2);
const url = new URL(address);
if (!url.searchParams.has("since")) url.searchParams.set("since", "earliest");
let position = "";

/** Reads until the connection ends. */
async function read() {
  // Counts before `since`.
  const headers = position === "" ? {} : { "last-event-id": position };
  const response = await fetch(url, { headers });
  if (!response.ok) {
    const said = `HTTP ${response.status}: ${await response.text()}`;
    if (!mayChange(response.status)) end(said);
    throw new Error(said);
  }
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split("\n\n");
    text = blocks.pop();
    blocks.forEach(take);
  }
}

/** Whether the same request may be answered otherwise later. */
function mayChange(status) {
  return status >= 500 || status === 408 || status === 429;
}

function end(why) {
  console.error(why);
  process.exit(1);
}

/** One block of fields: an event, or news of another kind. */
function take(block) {
  const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
  if (fields.event === undefined && fields.data !== undefined) console.log(fields.data);
  if (fields.event === "gap") console.error("events are gone for good:", fields.data);
  if (fields.id !== undefined) position = fields.id;
}

for (;;) {
  await read().catch((error) => console.error(error.message));
  await new Promise((resolve) => setTimeout(resolve, 500 + 1_000 * Math.random()));
}
