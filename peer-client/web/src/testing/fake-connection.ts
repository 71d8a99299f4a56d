/** A connection to another peer that a test plays. */

export const SDP = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

export class FakeChannel {
  readonly label: string;
  readonly ordered = true;
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

  constructor(label = "1") {
    this.label = label;
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

export class FakeConnection {
  connectionState = "new";
  localDescription: { sdp: string } | null = null;
  isClosed = false;
  readonly steps: string[] = [];
  /** The reliable one that was opened last. */
  channel: FakeChannel | undefined;
  readonly channels: FakeChannel[] = [];
  /** The one on which messages may be lost. */
  lossy: FakeChannel | undefined;
  lossyInit: RTCDataChannelInit | undefined;
  onconnectionstatechange: (() => void) | null = null;
  ondatachannel: ((event: { channel: FakeChannel }) => void) | null = null;
  onicecandidate: ((event: { candidate: { candidate: string } | null }) => void) | null = null;

  createDataChannel(label: string, init?: RTCDataChannelInit): FakeChannel {
    if (init !== undefined) {
      this.lossyInit = init;
      this.lossy = new FakeChannel(label);
      return this.lossy;
    }
    this.channel = new FakeChannel(label);
    this.channels.push(this.channel);
    return this.channel;
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
