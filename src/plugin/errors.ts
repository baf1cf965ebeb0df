/** A class per kind of failure; every message says what was wrong, where, and what to do. */

/** The folder or package is no plugin that this VMM can load. */
export class PluginLoadError extends Error {
  override readonly name = 'PluginLoadError';
}

/** `--mode x`: an option the plugin does not have, or a value it does not take. */
export class PluginOptionError extends Error {
  override readonly name = 'PluginOptionError';
}

/** The host lacks what the plugin's method needs. */
export class PluginRequirementError extends Error {
  override readonly name = 'PluginRequirementError';
}

/** A method of the plugin threw, or its core did. */
export class PluginFailure extends Error {
  override readonly name = 'PluginFailure';
}

/** A method of the plugin, or a turn of its core, did not come back in time. */
export class PluginTimeout extends Error {
  override readonly name = 'PluginTimeout';
}

/** The migration engine called the host out of order. */
export class PluginOrderError extends Error {
  override readonly name = 'PluginOrderError';
}

/** Device state that cannot be what a plugin saved: truncated, oversized, wrong types, another plugin's. */
export class DeviceStateError extends Error {
  override readonly name = 'DeviceStateError';
}
