/** A connection to another peer that a test plays. */

export const SDP = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

export class FakeChannel {
  readonly label: string;
  readonly ordered: boolean;
  readonly maxRetransmits: number | null;
  readonly maxPacketLifeTime: number | null;
  readyState = "connecting";
  binaryType = "";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  readonly sent: Uint8Array[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onbufferedamountlow: (() => void) | null = null;
  isClosed = false;

  constructor(label = "1", { ordered = true, maxRetransmits, maxPacketLifeTime }: RTCDataChannelInit = {}) {
    this.label = label;
    this.ordered = ordered;
    this.maxRetransmits = maxRetransmits ?? null;
    this.maxPacketLifeTime = maxPacketLifeTime ?? null;
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
  }

  close(): void {
    this.isClosed = true;
    this.readyState = "closing";
  }

  open(): void {
    this.readyState = "open";
    this.onopen?.();
  }
}

/** What a lossy channel is opened with. */
export const LOSSY: RTCDataChannelInit = { ordered: false, maxRetransmits: 0 };

export class FakeConnection {
  connectionState = "new";
  localDescription: { sdp: string } | null = null;
  isClosed = false;
  readonly steps: string[] = [];
  /** Those that are reliable. */
  readonly channels: FakeChannel[] = [];
  readonly lossyChannels: FakeChannel[] = [];
  onconnectionstatechange: (() => void) | null = null;
  ondatachannel: ((event: { channel: FakeChannel }) => void) | null = null;
  onicecandidate: ((event: { candidate: { candidate: string } | null }) => void) | null = null;

  /** The reliable one that was opened last. */
  get channel(): FakeChannel | undefined {
    return this.channels.at(-1);
  }

  /** The lossy one that was opened last. */
  get lossy(): FakeChannel | undefined {
    return this.lossyChannels.at(-1);
  }

  createDataChannel(label: string, init?: RTCDataChannelInit): FakeChannel {
    const channel = new FakeChannel(label, init);
    (channel.ordered ? this.channels : this.lossyChannels).push(channel);
    return channel;
  }

  /** The other end opens a channel. */
  comes(label: string, init?: RTCDataChannelInit, readyState = "open"): FakeChannel {
    const channel = new FakeChannel(label, init);
    channel.readyState = readyState;
    this.ondatachannel?.({ channel });
    return channel;
  }

  /** The other end opens the channels of a link; gives the reliable one. */
  comeBoth(link: number, readyState = "open"): FakeChannel {
    const reliable = this.comes(`${link}`, {}, readyState);
    this.comes(`${link} lossy`, LOSSY, readyState);
    return reliable;
  }

  async setLocalDescription(): Promise<void> {
    await Promise.resolve();
    this.localDescription = { sdp: SDP };
    this.steps.push("local");
  }

  async setRemoteDescription({ type }: { type: string }): Promise<void> {
    await Promise.resolve();
    this.steps.push(type);
  }

  async addIceCandidate({ candidate }: { candidate: string }): Promise<void> {
    await Promise.resolve();
    this.steps.push(candidate);
    if (candidate === "odd") throw new Error("not understood");
  }

  close(): void {
    this.isClosed = true;
  }

  fail(): void {
    this.connectionState = "failed";
    this.onconnectionstatechange?.();
  }

  asRtc(): RTCPeerConnection {
    return this as unknown as RTCPeerConnection;
  }
}
