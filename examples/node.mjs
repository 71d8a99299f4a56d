// Reads a channel by server-sent events: an event a line.
const [address = "http://127.0.0.1:8780/v1/sse/events"] = process.argv.slice(2);
const url = new URL(address);
if (!url.searchParams.has("since")) url.searchParams.set("since", "earliest");
let position = "";

/** Reads until the connection ends. */
async function read() {
  // Counts before `since`.
  const headers = position === "" ? {} : { "last-event-id": position };
  const response = await fetch(url, { headers });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split("\n\n");
    text = blocks.pop();
    blocks.forEach(take);
  }
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
