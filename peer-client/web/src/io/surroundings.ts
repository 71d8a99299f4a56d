/** What a page knows of its user: whether they look at it, whether they leave it, and what its line costs them. */

export interface Surroundings {
  /** Nobody looks at the page. */
  readonly isHidden: () => boolean;
  /** The user wants to save data, or pays for each byte. */
  readonly isMetered: () => boolean;
  readonly watch: (listener: SurroundingsListener, until: AbortSignal) => void;
}

export interface SurroundingsListener {
  /** One of the two may have changed. */
  changed(): void;
  /** The page is left or frozen, perhaps for good: nothing of it runs after this. */
  left(): void;
  /** It goes on, as it was. */
  returned(): void;
}

/** The Network Information API, as far as browsers have it. */
interface NetworkInformation extends EventTarget {
  readonly saveData?: boolean;
  readonly type?: string;
}

/** Undefined where there is no page: in workers, for instance. */
export function pageSurroundings(): Surroundings | undefined {
  if (typeof document === "undefined") return undefined;
  const { connection } = navigator as { readonly connection?: NetworkInformation };
  return {
    isHidden: () => document.visibilityState === "hidden",
    isMetered: () => connection?.saveData === true || connection?.type === "cellular",
    watch: (listener, signal) => {
      const on = (target: EventTarget | undefined, type: string, call: keyof SurroundingsListener): void => {
        const heard = (): void => {
          listener[call]();
        };
        target?.addEventListener(type, heard, { signal });
      };
      on(document, "visibilitychange", "changed");
      on(connection, "change", "changed");
      on(window, "pagehide", "left");
      on(window, "pageshow", "returned");
      // A hidden page may be stopped without being left.
      on(document, "freeze", "left");
      on(document, "resume", "returned");
    },
  };
}
