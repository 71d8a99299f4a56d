/** The two data channels of a link: a reliable one, and a lossy one for what is asked for again when it is missing. */

/** Which of the two a channel is. */
export type Kind = "reliable" | "lossy";

/** The two channels of a link. */
export interface Channels {
  readonly reliable: RTCDataChannel;
  readonly lossy: RTCDataChannel;
  /** What has come on the reliable one so far. */
  readonly received: readonly ArrayBuffer[];
}

/** Opens the channels of a link. Throws where there can be none. */
export function openChannels(connection: RTCPeerConnection, link: number): Channels {
  const reliable = connection.createDataChannel(String(link));
  const lossy = connection.createDataChannel(`${link} lossy`, { ordered: false, maxRetransmits: 0 });
  return { reliable, lossy, received: [] };
}

/** The link whose data channel this is, and which of its two, if it is that of a link. */
export function linkOf(channel: RTCDataChannel): { readonly link: number; readonly kind: Kind } | undefined {
  const match = /^(\d+)( lossy)?$/.exec(channel.label);
  if (match === null) return undefined;
  const kind = match[2] === undefined ? "reliable" : "lossy";
  return kind === kindOf(channel) ? { link: Number(match[1]), kind } : undefined;
}

/** What a channel promises; nothing, if it is neither. */
function kindOf({ ordered, maxRetransmits, maxPacketLifeTime }: RTCDataChannel): Kind | undefined {
  if (maxPacketLifeTime !== null) return undefined;
  if (ordered) return maxRetransmits === null ? "reliable" : undefined;
  return maxRetransmits === 0 ? "lossy" : undefined;
}
