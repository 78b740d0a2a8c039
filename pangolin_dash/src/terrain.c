/* Collision with the map of 16 x 16 pixel blocks. */
#include "world.h"

/* Outside the map: walls at the sides, nothing above and below. */
u8 block_at(s16 x, s16 y)
{
    s16 column = x >> 4, row = y >> 4;
    if (row < 0 || row >= MAP_ROWS || column < 0)
        return 0;
    return world.map[((u16)column << 5) | row];
}

void set_block(s16 column, s16 row, u8 block)
{
    u16 index = ((u16)column << 5) | row;
    world.map[index] = block;
    if (world.n_dirty < MAX_DIRTY)
        world.dirty[world.n_dirty++] = index;
}

/* Height of the ground in a block's pixel column, 0 to 16. A one-way block counts only for feet
   that were above its top. */
static s16 height_at(u8 block, s16 x, s16 top, s16 one_way_limit)
{
    u8 flags = block_flags[block];
    if (flags & B_ONEWAY)
        return top >= one_way_limit ? 16 : 0;
    if (flags & (B_SOLID | B_SLOPE))
        return shape_height[block_shape[block]][x & 15];
    return 0;
}

/* The surface nearest to (x, y): from 31 pixels above y to 31 below it, or NO_FLOOR. */
s16 floor_at(s16 x, s16 y, s16 one_way_limit, u8 *block)
{
    s16 top = y & ~15, height;
    u8 here = block_at(x, y), other;
    height = height_at(here, x, top, one_way_limit);
    if (height == 16) {
        other = block_at(x, top - 16);
        height = block_flags[other] & B_ONEWAY ? 0 : height_at(other, x, top - 16, one_way_limit);
        if (height) {
            *block = other;
            return top - height;
        }
        *block = here;
        return top;
    }
    if (height) {
        *block = here;
        return top + 16 - height;
    }
    other = block_at(x, top + 16);
    height = height_at(other, x, top + 16, one_way_limit);
    *block = other;
    return height ? top + 32 - height : NO_FLOOR;
}

/* Is the point inside something that stops sideways and upward movement? */
u8 is_wall(s16 x, s16 y)
{
    return (block_flags[block_at(x, y)] & (B_SOLID | B_SLOPE)) == B_SOLID;
}
