-- Prices of the classes that came later, and of units that are no tokens: nano-units per million images, seconds of audio,
-- characters, searches. A token class without a price costs what its parent does; a unit without one cannot be charged, so
-- a model that is sold by it is refused before the call.
ALTER TABLE price_versions
    ADD COLUMN cache_write_1h bigint CHECK (cache_write_1h >= 0),
    ADD COLUMN cached_audio_input bigint CHECK (cached_audio_input >= 0),
    ADD COLUMN cached_image_input bigint CHECK (cached_image_input >= 0),
    ADD COLUMN image_output bigint CHECK (image_output >= 0),
    ADD COLUMN images bigint CHECK (images >= 0),
    ADD COLUMN audio_seconds bigint CHECK (audio_seconds >= 0),
    ADD COLUMN characters bigint CHECK (characters >= 0),
    ADD COLUMN searches bigint CHECK (searches >= 0);
