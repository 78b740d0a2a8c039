/* Only in the library for other machines: decodes the art, once, for screen.c. */
#include "screen.h"
#include "pictures.h"

#define ZONES 6
#define PLAYER_TILES ((PLAYER_WIN + PLAYER_WIN_COUNT) * 16)

struct Zone zones[ZONES];
Row player_rows[PLAYER_TILES][8];

static void decode_tiles(Row (*out)[8], const u32 *data, u32 count)
{
    u32 i, x;
    for (i = 0; i < count * 8; i++)
        for (x = 0; x < 8; x++)
            out[i >> 3][i & 7][x] = data[i] >> (28 - 4 * x) & 15;
}

/* The number of an animation's picture: it is sent when the clock is `number` beyond a multiple of
   1 << shift (video_send). */
static u16 animation_picture(const struct Animation *a, u16 number, u16 clock)
{
    return (u16)(clock - number) >> a->shift & (a->frames - 1);
}

/* All animations' pictures as one number; `state_count` is how many there are. */
static u32 animation_state(const struct ZoneArt *art, u16 clock)
{
    u32 state = 0;
    u16 i;
    for (i = art->n_animations; i-- > 0;)
        state = state * art->animations[i].frames + animation_picture(&art->animations[i], i, clock);
    return state;
}

static u32 state_count(const struct ZoneArt *art)
{
    u32 count = 1;
    u16 i;
    for (i = 0; i < art->n_animations; i++)
        count *= art->animations[i].frames;
    return count;
}

/* Put the tiles that the animations show in a state in the place of theirs. */
static void animate(Row (*tiles)[8], const struct ZoneArt *art, u32 state)
{
    u16 i;
    for (i = 0; i < art->n_animations; i++) {
        const struct Animation *a = &art->animations[i];
        u32 picture = state % a->frames;
        state /= a->frames;
        decode_tiles(tiles + a->tile, a->data + picture * a->count * 8, a->count);
    }
}

/* A cell of a name table: its tile turned and coloured, 8 x 8 pixels. */
static void draw_cell(u8 *out, u32 stride, Row (*tiles)[8], u16 cell)
{
    u8 color = (cell >> 13 & 3) << 4 | (cell & 0x8000 ? FRONT : 0);
    u32 x, y;
    for (y = 0; y < 8; y++, out += stride)
        for (x = 0; x < 8; x++) {
            u8 pixel = tiles[cell & 0x7FF][cell & 0x1000 ? 7 - y : y][cell & 0x0800 ? 7 - x : x];
            out[x] = pixel ? pixel | color : 0;
        }
}

static void decode_blocks(struct Zone *zone, const struct ZoneArt *art)
{
    u32 state, block, states = state_count(art);
    zone->blocks = __builtin_malloc(states * BLOCK_COUNT * sizeof(BlockPixels));
    for (state = 0; state < states; state++) {
        animate(zone->tiles, art, state);
        for (block = 0; block < BLOCK_COUNT; block++) {
            u8 *out = zone->blocks[state * BLOCK_COUNT + block][0];
            const u16 *cells = art->blocks[block];
            draw_cell(out, 16, zone->tiles, cells[0]);
            draw_cell(out + 8, 16, zone->tiles, cells[1]);
            draw_cell(out + 128, 16, zone->tiles, cells[2]);
            draw_cell(out + 136, 16, zone->tiles, cells[3]);
        }
    }
}

/* A colour as the emulator shows it: 3 bits a channel, stretched to the 5, 6 and 5 bits of its screen,
   which stable-retro shifts up to 8. */
static void decode_palette(struct Zone *zone, const u16 *palette)
{
    u16 wide[CHANNELS] = {0};
    u32 i, channel;
    for (i = 0; i < 128; i++) { /* with FRONT and without */
        u16 color = palette[i & 63], r = color & 14, g = color >> 4 & 14, b = color >> 8 & 14;
        zone->rgb[i][0] = (r << 1 | r >> 3) << 3;
        zone->rgb[i][1] = (g << 2 | g >> 2) << 2;
        zone->rgb[i][2] = (b << 1 | b >> 3) << 3;
        for (channel = 0; channel < 3; channel++)
            wide[channel] = zone->rgb[i][channel];
        __builtin_memcpy(&zone->packed[i], wide, sizeof wide);
    }
}

/* The blocks as the animations show them. */
const BlockPixels *animated_blocks(u8 zone, u16 clock)
{
    return zones[zone].blocks + animation_state(&zone_art[zone], clock) * BLOCK_COUNT;
}

/* Once, before the first picture. */
void screen_start(void)
{
    u32 i, cell;
    decode_tiles(player_rows, player_tiles, PLAYER_TILES);
    for (i = 0; i < ZONES; i++) {
        struct Zone *zone = &zones[i];
        const struct ZoneArt *art = &zone_art[i];
        decode_tiles(zone->tiles + 1, common_tiles, common_tile_count);
        decode_tiles(zone->tiles + art->first_tile, art->tiles, art->tile_count);
        for (cell = 0; cell < 64 * 32; cell++)
            draw_cell(&zone->back[(cell >> 6) * 8][(cell & 63) * 8], 512, zone->tiles,
                      art->background[cell]);
        decode_blocks(zone, art);
        decode_palette(zone, art->palette);
    }
}
