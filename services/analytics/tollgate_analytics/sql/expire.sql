-- Write down that a month of a tier is no longer kept, before it goes.
INSERT INTO expired SELECT {tier:String}, {month:UInt32}, now64(3)
