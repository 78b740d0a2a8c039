/* The video chip: buffers that the drawing code fills during a frame and that are sent in the
   vertical blank. */
#ifndef VIDEO_H
#define VIDEO_H

#include "types.h"

enum { PLANE_A = 0xC000, PLANE_B = 0xE000, SPRITES = 0xF800, HSCROLL = 0xFC00 };
enum { MAX_SPRITES = 80 };

/* Pictures, written by pangolin_dash/compile from pangolin_dash/art. */
struct Picture { u16 tile; u8 size, width, height; }; /* size: VDP code; width, height: pixels */
extern const struct Picture pictures[];
extern const u32 common_tiles[];
extern const u16 common_tile_count;
extern const u32 player_tiles[]; /* 16 tiles a frame, 512 bytes, aligned to 512 */

struct Animation { u16 tile, count, frames, shift; const u32 *data; };
struct Strip { u8 first, last, shift; };
struct ZoneArt {
    const u32 *tiles;      /* zone sprites, terrain, background: one run of tiles */
    u16 first_tile, tile_count;
    const u16 *palette;    /* 64 colours */
    const u16 (*blocks)[4];  /* name-table words of each block: top left, top right, bottom... */
    const u16 *background; /* 64 x 32 name-table words */
    const struct Strip *strips;
    u16 n_strips;
    const struct Animation *animations;
    u16 n_animations;
    struct { u16 first, mask; } sprites[5]; /* first picture, number of frames - 1 */
};
extern const struct ZoneArt zone_art[];
extern const char *const zone_names[];

extern volatile u16 vblank_count;
void wait_vblank(void);

void video_start(void);
void video_display(u8 on);
void video_load_zone(u8 zone);
void video_fade(u8 level);
void video_send(void);
u16 video_line(void);

void tiles_write(u16 tile, const u32 *data, u16 count);
void plane_fill(u16 plane, u16 value);
void text(s16 column, s16 row, const char *string);

void sprites_begin(void);
void sprite(u16 picture, s16 x, s16 y, u16 flags);
void sprites_end(void);
void player_picture(u16 frame);

/* draw.c */
void draw_level_start(void);
void draw_frame(void);
void draw_title(u8 level, u16 count, u8 changed);
void draw_card(u8 level);

#endif
