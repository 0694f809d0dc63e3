// The binary message: 4 bytes big-endian length, JSON, JPEG, PNG (see packing.py).

/** The inspection in `buffer`: its header, and Blobs of picture and mask or null. Throws RangeError when lengths do not add up. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, false);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const pictureAt = 4 + length;
  const maskAt = pictureAt + header.picture_bytes;
  if (maskAt + header.mask_bytes !== buffer.byteLength) {
    throw new RangeError("the inspection's lengths do not add up");
  }
  return {
    header,
    picture: blob(buffer, pictureAt, header.picture_bytes, "image/jpeg"),
    mask: blob(buffer, maskAt, header.mask_bytes, "image/png"),
  };
}

function blob(buffer, at, length, type) {
  return length ? new Blob([new Uint8Array(buffer, at, length)], { type }) : null;
}

/** Decode both pictures without colour management, so that a mask's values arrive as they were written. */
export async function decodePictures(inspection) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const [picture, mask] = await Promise.all(
    [inspection.picture, inspection.mask].map((data) => (data ? createImageBitmap(data, options) : null)),
  );
  return { header: inspection.header, picture, mask };
}
