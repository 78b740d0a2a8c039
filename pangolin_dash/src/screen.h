/* Only in the library for other machines: the zones' art as the model of the video chip reads it.

   A pixel is a byte: the colour's number in the palette (line * 16 + colour), 0 where nothing is
   drawn, and FRONT for high priority. */
#ifndef SCREEN_MODEL_H
#define SCREEN_MODEL_H

#include "view.h"

#define FRONT 0x40
#define CHANNELS 4 /* red, green, blue, nothing */

typedef u8 Row[8]; /* of a tile */
typedef u8 BlockPixels[16][16];

struct Zone {
    Row tiles[PLANE_A / 32][8]; /* without palette line and priority */
    u8 back[256][512];          /* plane B */
    BlockPixels *blocks;        /* every block, in every state of the animations */
    u8 rgb[128][CHANNELS];      /* colours, with FRONT and without */
    u64 packed[128];            /* the same, 16 bits a channel */
};

/* tiles.c */
extern struct Zone zones[];
extern Row player_rows[][8];
const BlockPixels *animated_blocks(u8 zone, u16 clock);

#endif
