/**
 * Which half of a guest-assisted migration method this image's driver carries: image.json's "driver". Folded at compile time:
 * an image without one has none of it.
 */

// @ts-ignore: given on the compiler's command line
export const COMPSC: bool = isDefined(DRIVER_COMPSC);
// @ts-ignore: given on the compiler's command line
export const SUSPEND: bool = isDefined(DRIVER_SUSPEND);
