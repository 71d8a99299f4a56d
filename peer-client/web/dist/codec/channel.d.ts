/** A text that cannot name a channel. */
export declare class ChannelNameError extends Error {
    readonly name = "ChannelNameError";
    constructor(text: string);
}
/** Gives back a text that can name a channel; throws {@link ChannelNameError} on any other. */
export declare function parseChannelName(text: string): string;
/** The number that stands for a channel: the first four bytes of SHA-256 of its name. */
export declare function channelId(name: string): number;
