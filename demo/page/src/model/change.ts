/** What came of asking for more or fewer native peers, in a sentence. */
import { plural } from "./format.js";

/** `asked` and `done`: how many more, or fewer if below 0. `max`: how many there may be at once, if that is known. */
export function changeText(asked: number, done: number, max: number | undefined): string {
  const peers = plural(Math.abs(done), "native peer");
  if (asked > 0) {
    const limit = max === undefined ? "there is no room for more" : `the demo runs at most ${max}`;
    return done < asked ? `Added ${peers}: ${limit}.` : `Added ${peers}.`;
  }
  return done > asked ? `Removed ${peers}: there were no more.` : `Removed ${peers}.`;
}
